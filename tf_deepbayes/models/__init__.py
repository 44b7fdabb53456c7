"""Classifiers: the seven factorisations, the baselines, and what they are made of."""
