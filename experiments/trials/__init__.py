"""One trial: which there are, how one is named, run and evaluated."""
