"""The registry, its rows, their weights, and whoever builds them."""
