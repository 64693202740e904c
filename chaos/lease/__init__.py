"""How every fault is undone: its inverse on disk, the reaper, healing."""
