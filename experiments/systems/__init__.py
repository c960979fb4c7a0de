"""One file per row of Table 1."""
