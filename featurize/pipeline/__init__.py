"""Which clips lack which features, and the way from a clip to a part of the store."""
