"""Combines models by out-of-fold predictions, and chooses among the ways."""
