"""The composition root: the parts of each role of `python -m target`, put together."""
