"""Checkers about holds: what was granted, for how long, when the seats came back, how many one person may have."""
