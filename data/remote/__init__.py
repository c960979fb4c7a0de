"""Copies of prepared images and splits on other machines and object stores."""
