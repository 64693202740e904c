"""Breaks things, provably and reversibly, on the release clock."""
