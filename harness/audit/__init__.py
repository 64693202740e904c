"""The audit: checkers that take the history of operations and return a status for each invariant."""

from harness.audit.invariants import INVARIANTS, audit
from harness.audit.spec import InvariantSpec

__all__ = ["INVARIANTS", "InvariantSpec", "audit"]
