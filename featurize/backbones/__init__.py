"""Architectures that keras.applications does not have, and the readers of their weights."""
