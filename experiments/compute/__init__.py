"""What a trial gets: CPUs, GPUs and their memory, and Ray Tune as it is used here."""
