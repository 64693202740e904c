"""The report, specified."""
