"""The trial store, the truth about what was run: one folder per trial, on a disk or on an object store."""
