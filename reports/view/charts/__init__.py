"""Data of the charts, binned here, and the same in words and as tables."""
