"""Labels, sites, folds, predictions and what heads see of features, as tables and arrays."""
