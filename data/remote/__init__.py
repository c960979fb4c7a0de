"""Prepared data on other machines and object stores."""
