"""Which clips a person should look at next, and what their answers tell of a whole collection."""
