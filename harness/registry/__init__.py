"""The names that scenario files, checkers and reports share, as plain data: indicators, invariants and capabilities."""
