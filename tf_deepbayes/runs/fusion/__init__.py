"""Features of a data set: where their extractor is found, and where they are kept."""
