"""A sweep: many trials, dispatched to workers, watched, and summarised as results."""
