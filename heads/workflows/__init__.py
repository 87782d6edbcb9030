"""What each command does, as a function: train, blend, predict, compare, estimate."""
