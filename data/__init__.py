"""Datasets: what exists (`catalog`), how its official files get here (`download`), become arrays
(`prepare`, `formats`), are cut into parts and labelled subsets (`splits`) and are read (`store`).

Run `python -m data --help` for the commands.
"""
