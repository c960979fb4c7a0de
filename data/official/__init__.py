"""Official files: downloaded, copied from a folder, or read in place; verified by their checksums."""
