"""Many trials: dispatched, watched, and written down as results."""
