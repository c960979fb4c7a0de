"""The processes that Ray runs for this project: on this machine alone, or on a cluster."""
