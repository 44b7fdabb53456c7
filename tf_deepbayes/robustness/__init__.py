"""The standard evaluation: a set of attacks, the worst of them per image, sanity checks."""
