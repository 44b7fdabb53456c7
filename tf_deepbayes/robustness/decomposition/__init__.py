"""Robustness taken apart: what a robust accuracy is made of, and how far it can be believed."""
