"""A file into frames, facts and sound; damage becomes a reason."""
