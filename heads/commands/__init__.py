"""What each `heads` command prints; parses nothing, decides nothing."""
