"""Writes the reference pages of the documents from the code: `python -m tests.reference`. A test compares the two."""
