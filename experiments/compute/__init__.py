"""What trials get of a machine: CPUs, GPUs and their memory; and Ray Tune, which runs them."""
