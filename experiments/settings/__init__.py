"""The settings: params.yaml as a checked value, changes of it, and the spaces of a search."""
