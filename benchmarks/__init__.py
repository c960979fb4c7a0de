"""Measurements of speed, memory and agreement between devices: `python -m benchmarks` lists them."""
