"""Processes: children that cannot outlive us, their ports, identities and signals."""
