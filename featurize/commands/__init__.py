"""What `featurize` prints and asks."""
