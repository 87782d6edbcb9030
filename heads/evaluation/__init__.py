"""Metrics, thresholds, standard errors: numbers in, numbers out."""
