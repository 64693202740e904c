"""Where the time of each step went, by hop, from the spans of the traced journeys. Pure.

The time of a span that none of its children covers is its own. A hop is the part that spent it: the network and the
waiting between the fan and the platform, a process of the platform, or what that process asked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from harness.record.verdict import Hop, StepHops
from harness.sli.measured import percentile

SWARM: Final = "swarm"
NETWORK: Final = "client and network"
_COLUMNS: Final = ("span_id", "parent_id", "service", "name", "kind", "t_start_s", "t_end_s")


class _Span(msgspec.Struct, frozen=True, gc=False):
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: str
    t_start_s: float
    t_end_s: float

    @property
    def hop(self) -> str:
        """`booking`, or what a process asked for: `booking → redis`."""
        if self.service == SWARM:
            return NETWORK
        return f"{self.service} → {self.name.partition(' ')[0]}" if self.kind == "client" else self.service


def step_hops(spans: pa.Table) -> tuple[StepHops, ...]:
    """Each traced step with its hops, the slowest step first."""
    rows = [_Span(*row) for row in zip(*(spans[name].to_pylist() for name in _COLUMNS), strict=True)]
    children: dict[str, list[_Span]] = defaultdict(list)
    for span in rows:
        children[span.parent_id].append(span)
    steps: dict[str, list[_Span]] = defaultdict(list)
    for span in rows:
        if span.service == SWARM:
            steps[span.name].append(span)
    found = [_step(name, roots, children) for name, roots in steps.items()]
    return tuple(sorted(found, key=lambda step: -step.p50_ms))


def _step(name: str, roots: Sequence[_Span], children: Mapping[str, Sequence[_Span]]) -> StepHops:
    own_s: dict[str, float] = defaultdict(float)
    for root in roots:
        for hop, seconds in _spent(root, root.t_start_s, root.t_end_s, children):
            own_s[hop] += seconds
    whole_s = sum(root.t_end_s - root.t_start_s for root in roots)
    took_ms = [1000 * (root.t_end_s - root.t_start_s) for root in roots]
    return StepHops(
        step=name,
        traces=len(roots),
        p50_ms=percentile(took_ms, 0.5) or 0.0,
        max_ms=max(took_ms),
        hops=tuple(
            Hop(name=hop, mean_ms=1000 * seconds / len(roots), share=seconds / whole_s if whole_s else 0.0)
            for hop, seconds in sorted(own_s.items(), key=lambda item: -item[1])
        ),
    )


def _spent(
    span: _Span, from_s: float, to_s: float, children: Mapping[str, Sequence[_Span]]
) -> Iterator[tuple[str, float]]:
    """The span's own time and that of all below it, within the bounds: a stream's server outlives the first event.

    Spans below one another are walked, children of one span take turns: time that two children share is the first's.
    """
    at_s, own_s = from_s, 0.0
    for child in sorted(children.get(span.span_id, ()), key=lambda one: one.t_start_s):
        begin_s, end_s = max(child.t_start_s, at_s), min(child.t_end_s, to_s)
        if end_s <= begin_s:
            continue
        own_s += begin_s - at_s
        yield from _spent(child, begin_s, end_s, children)
        at_s = end_s
    yield span.hop, max(0.0, own_s + to_s - at_s)
