"""Runs a rehearsal and writes its record; judges the record afterwards."""

__version__ = "0.1.0"
