"""The truth about what was run: one folder per trial, on this disk or on an object store."""
