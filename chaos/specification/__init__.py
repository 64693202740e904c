"""Experiment files: faults, expectations, and their schedule on the release clock."""
