"""Folds and other splits: which clips stay together, and how they are dealt out."""
