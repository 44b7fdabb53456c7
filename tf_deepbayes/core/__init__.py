"""What everything stands on: the shape law, sizes, checks, files. Nothing here knows a model."""
