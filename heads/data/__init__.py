"""Labels, sites, folds and predictions as tables."""
