"""What was judged, ready to print: indicators, invariants, faults, limits, and what was not tested."""
