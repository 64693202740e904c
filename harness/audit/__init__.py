"""Operation history in, invariants out: held, violated, unknown or not observable."""
