"""params.yaml as a typed value, and the spaces that a search may choose from."""
