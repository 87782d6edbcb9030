"""Fits one head over all folds: by gradients, or in closed form."""
