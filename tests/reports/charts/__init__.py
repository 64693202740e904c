"""The charts, specified."""
