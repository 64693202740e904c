"""The run directory: swarm and chaos write it, audit, sli and reports read it."""
