"""The networks, and trained heads as they are loaded."""
