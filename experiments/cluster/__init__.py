"""A Ray cluster as the place where trials run."""
