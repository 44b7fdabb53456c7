"""The foundation: the shape law, sizes, checks, files. Nothing here depends on a model."""
