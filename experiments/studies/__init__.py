"""Studies: measurements beside the sweeps, one file each."""
