"""The files that a report reads, one module each: every value is checked."""
