"""Attacks that query logits or labels only."""
