"""The flags of an evaluation."""
