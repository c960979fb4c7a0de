"""Stochastic pooling and expected unpooling, each written in PyTorch and in C."""
