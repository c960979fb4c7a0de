"""Kernels in C, which `vae.compiled` compiles and calls."""
