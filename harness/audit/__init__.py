"""Operation history in, invariants out: held, violated, unknown or not observable."""

from harness.audit.invariants import INVARIANTS, InvariantSpec, audit

__all__ = ["INVARIANTS", "InvariantSpec", "audit"]
