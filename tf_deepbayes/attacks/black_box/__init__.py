"""Attacks that ask for logits or labels only."""
