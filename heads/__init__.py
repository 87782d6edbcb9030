"""Feature store to trained heads to out-of-fold predictions to blend and report."""
