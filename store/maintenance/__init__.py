"""Verify, repair, compact, sweep, relink and export, and how they are printed."""
