"""The systems that are compared, one file each: the rows of Table 1, and others beside them."""
