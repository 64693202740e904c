"""Checkers about the queue: places, positions, admission and ways past it."""
