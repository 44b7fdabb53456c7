"""Trained classifiers that come with the project: entries of the zoo, and run folders of them."""
