"""Run folders: a trained classifier, and the results that were made with it."""
