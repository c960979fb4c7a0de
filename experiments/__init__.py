"""What is run: trials, sweeps, tracking."""

from experiments import privacy as privacy  # first, so that nothing below can report home
