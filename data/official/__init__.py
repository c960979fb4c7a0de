"""Official files: downloaded, copied from a folder, or found where they lie; checked against their checksums."""
