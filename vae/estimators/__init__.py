"""Estimators of the gradient through the pooling switches, one file each."""
