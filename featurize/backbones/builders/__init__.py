"""Whoever builds the networks and rules of the registry."""
