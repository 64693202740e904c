"""Runs a rehearsal and writes its record; judges the record afterwards."""
