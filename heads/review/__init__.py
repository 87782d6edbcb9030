"""Looking at clips and saying what they show: a local page, and the server behind it."""
