"""The feature store: immutable HDF5 parts of pooled activations, and the facts about each clip."""
