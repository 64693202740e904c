"""The trace that a piece of work belongs to, as its caller named it (W3C Trace Context). Costs nothing without a name.

The context travels with the task: whatever a request starts belongs to the request's trace.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

import msgspec

HEADER: Final = "traceparent"
_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


class TraceParent(msgspec.Struct, frozen=True):
    """A caller's span. `sampled`: the caller keeps its spans and asks us to keep ours."""

    trace_id: str
    span_id: str
    sampled: bool

    def header(self) -> str:
        """As the next callee is told."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


CURRENT: Final[ContextVar[TraceParent | None]] = ContextVar("trace", default=None)


def trace_id() -> str:
    """The trace at hand; "" outside of any."""
    current = CURRENT.get()
    return "" if current is None else current.trace_id


def parse(header: str) -> TraceParent | None:
    """What a traceparent header says. None: it says nothing that can be used, and a callee must ignore it."""
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not span.strip("0"):
        return None
    return TraceParent(trace, span, bool(int(flags, 16) & 1))
