"""One module per on-disk format; `contract` says what such a module must have."""
