"""The workflow of the study: what a profile asks for, as jobs of the commands."""
