"""The tables of the report: our numbers beside the published ones."""
