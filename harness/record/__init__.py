"""The run directory: the hinge between those who do (swarm, chaos) and those who judge (audit, sli, reports)."""
