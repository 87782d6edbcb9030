"""Labels, sites, classes and corrections out of people's files: ours, and those of other programs."""
