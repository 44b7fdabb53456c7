"""Importance weights and their gradient in bounded memory, independent of the classifiers."""
