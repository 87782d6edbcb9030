"""The `trapline` command: what concerns the whole tool, and none of its three commands alone."""
