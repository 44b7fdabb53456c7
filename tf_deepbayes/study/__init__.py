"""The report of a study: every result of a folder of runs beside the published numbers."""
