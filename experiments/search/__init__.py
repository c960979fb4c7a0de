"""Finding settings on the validation part."""
