"""Where something moves, from a low-resolution copy of a clip."""
