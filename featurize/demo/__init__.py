"""Drawn clips with a known truth."""
