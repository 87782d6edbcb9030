"""The label files of other programs, one module each, and what they share."""
