"""Keras layers, and likelihoods that turn their output into a distribution."""
