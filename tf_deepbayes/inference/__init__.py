"""Importance weights and their gradient, in bounded memory. No module here knows a classifier."""
