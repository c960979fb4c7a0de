"""Kernels in C, which `vae.kernels.compiled` compiles and calls."""
