"""Readers, writers and the index over parts."""
