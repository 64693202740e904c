"""Turns a record and its grades into pages that people and machines read."""
