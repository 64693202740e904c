"""Which journeys are traced, and what their requests say of it (W3C Trace Context). Pure.

The share and the choice come from the seed: the same users are traced in every run of a scenario. A journey is one
trace; each of its requests is a client span, below which the platform's own spans hang. Which of the traces are kept is
chosen at the end, see `harness.record.collecting.tail`.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from harness.record.collecting.tail import chance_of

_ID_BYTES = 16


class Tracer(msgspec.Struct, frozen=True):
    """Traces `ratio` (0 to 1) of the users."""

    seed: int = 0
    ratio: float = 0.0

    def trace_of(self, kind: str, user: int) -> str:
        """The trace id of this user's journey, 32 hex digits; "": it is not traced."""
        if not self.ratio or user < 0:
            return ""
        drawn = blake2b(f"trace:{self.seed}:{kind}:{user}".encode(), digest_size=_ID_BYTES).hexdigest()
        return drawn if chance_of(drawn) < self.ratio else ""

    def traces_of(self, users: Mapping[str, int]) -> frozenset[str]:
        """The ids of all traced journeys. `users`: how many there are of each kind."""
        drawn = (self.trace_of(kind, user) for kind, count in users.items() for user in range(count))
        return frozenset(filter(None, drawn))


def span_id(worker: int, number: int) -> str:
    """The id of the span `number` (1, 2, 3 …) of a worker, 16 hex digits, never all zero."""
    return f"{worker:04x}{number:012x}"


def traceparent(trace_id: str, span: str) -> str:
    """The value of the header: version 00, sampled."""
    return f"00-{trace_id}-{span}-01"
