"""Measurements beside the sweeps, one file a study."""
