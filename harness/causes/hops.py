"""Where the time of each step went, by hop, from the spans of the traced journeys. Pure.

The time of a span that none of its children covers is its own. A hop is the part that spent it: the network and the
waiting between the fan and the platform, a process of the platform, or what that process asked.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from harness.input_file import NOT_JSON
from harness.record.collecting.tail import SWARM, representative
from harness.record.verdict import Hop, StepHops
from harness.sli.measured import percentile

NETWORK: Final = "client and network"
_DEPTH_MOST: Final = 64
"""Below so many spans the rest is their parent's own time: platforms of strangers send what they like."""
_COLUMNS: Final = (
    "trace_id", "span_id", "parent_id", "service", "name", "kind", "t_start_s", "t_end_s", "status", "attributes",
)  # fmt: skip
_PART: Final = re.compile(r"([a-z][a-z0-9_]*)\.[a-z]")


class _Asked(msgspec.Struct, frozen=True):
    """Whom a client span asked, in OpenTelemetry's conventions; those of today and those before."""

    db: str = msgspec.field(name="db.system.name", default="")
    db_before: str = msgspec.field(name="db.system", default="")
    messaging: str = msgspec.field(name="messaging.system", default="")
    peer: str = msgspec.field(name="peer.service", default="")
    server: str = msgspec.field(name="server.address", default="")

    @property
    def name(self) -> str:
        return self.db or self.db_before or self.messaging or self.peer or self.server


_asked: Final = msgspec.json.Decoder(_Asked).decode


class Span(msgspec.Struct, frozen=True, gc=False):
    """One span of the record, see `harness.record.schema.SPANS`."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    t_start_s: float
    t_end_s: float
    status: str
    attributes: str

    @property
    def hop(self) -> str:
        """`booking`, a named part of it: `booking · saga`, or what it asked: `booking → redis`."""
        if self.service == SWARM:
            return NETWORK
        if self.kind in ("client", "producer"):
            return f"{self.service} → {self._asked or self.name.partition(' ')[0]}"
        part = _PART.match(self.name) if self.kind == "internal" else None
        return f"{self.service} · {part[1]}" if part else self.service

    @property
    def took_s(self) -> float:
        """From its start to its end."""
        return self.t_end_s - self.t_start_s

    @property
    def _asked(self) -> str:
        try:
            return _asked(self.attributes).name
        except NOT_JSON:
            return ""


class SpanTree:
    """The spans of a record: requests of the swarm, and the platform's spans below them."""

    def __init__(self, spans: pa.Table) -> None:
        self.requests: list[Span] = []
        self._children: dict[tuple[str, str], list[Span]] = defaultdict(list)
        seen: set[tuple[str, str]] = set()
        for span in (Span(*row) for row in zip(*(spans[name].to_pylist() for name in _COLUMNS), strict=True)):
            own = (span.trace_id, span.span_id)
            if own in seen:  # else a span could be below itself
                continue
            seen.add(own)
            if span.service == SWARM:
                self.requests.append(span)
            else:
                self._children[span.trace_id, span.parent_id].append(span)
        for children in self._children.values():
            children.sort(key=lambda one: one.t_start_s)

    def below(self, span: Span) -> Sequence[Span]:
        """The spans right below, in the order of their beginnings."""
        return self._children.get((span.trace_id, span.span_id), ())

    def spent(self, request: Span) -> dict[str, float]:
        """Hop → seconds that it spent itself, for one request."""
        own_s: dict[str, float] = defaultdict(float)
        for hop, seconds in self._spent(request, request.t_start_s, request.t_end_s, 0):
            own_s[hop] += seconds
        return own_s

    def _spent(self, span: Span, from_s: float, to_s: float, depth: int) -> Iterator[tuple[str, float]]:
        """The span's own time and that of all below it, within the bounds: a stream's server outlives the first event.

        Spans below one another are walked, children of one span take turns: time that two share is the first's.
        """
        at_s, own_s = from_s, 0.0
        for child in self.below(span) if depth < _DEPTH_MOST else ():
            begin_s, end_s = max(child.t_start_s, at_s), min(child.t_end_s, to_s)
            if end_s <= begin_s:
                continue
            own_s += begin_s - at_s
            yield from self._spent(child, begin_s, end_s, depth + 1)
            at_s = end_s
        yield span.hop, max(0.0, own_s + to_s - at_s)


def step_hops(tree: SpanTree, ratio: float) -> tuple[StepHops, ...]:
    """Each traced step with its hops, the slowest step first, over the journeys that were kept by chance alone.

    `ratio`: the share of the journeys that the scenario has traced.
    """
    usual = representative((span.trace_id for span in tree.requests), ratio)
    steps: dict[str, list[Span]] = defaultdict(list)
    for span in tree.requests:
        if span.trace_id in usual:
            steps[span.name].append(span)
    found = [_step(name, requests, tree) for name, requests in steps.items()]
    return tuple(sorted(found, key=lambda step: -step.p50_ms))


def _step(name: str, requests: Sequence[Span], tree: SpanTree) -> StepHops:
    own_s: dict[str, float] = defaultdict(float)
    for request in requests:
        for hop, seconds in tree.spent(request).items():
            own_s[hop] += seconds
    whole_s = sum(request.took_s for request in requests)
    took_ms = [1000 * request.took_s for request in requests]
    return StepHops(
        step=name,
        traces=len(requests),
        p50_ms=percentile(took_ms, 0.5) or 0.0,
        max_ms=max(took_ms),
        hops=tuple(
            Hop(name=hop, mean_ms=1000 * seconds / len(requests), share=seconds / whole_s if whole_s else 0.0)
            for hop, seconds in sorted(own_s.items(), key=lambda item: -item[1])
        ),
    )
