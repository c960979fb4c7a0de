"""Searches: Optuna chooses settings of a system, Ray Tune tries them, the validation part scores them."""
