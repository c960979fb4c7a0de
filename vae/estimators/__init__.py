"""Gradients through the pooling switches, one file an estimator."""
