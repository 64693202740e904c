"""Operation history in, invariants out: held, violated, unknown or not observable."""

from harness.audit.invariants import INVARIANTS, audit
from harness.audit.spec import InvariantSpec

__all__ = ["INVARIANTS", "InvariantSpec", "audit"]
