"""Runs beside one another: what lies in a runs folder, which of it can be compared, and what changed."""
