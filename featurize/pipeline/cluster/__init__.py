"""Clips on the machines of a cluster of Ray's."""
