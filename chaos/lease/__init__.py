"""Undoing faults: the journal of inverses on disk, the reaper, and healing."""
