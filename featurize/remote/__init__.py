"""Clips that lie elsewhere, behind a URL: found, and fetched for as long as they are needed."""
