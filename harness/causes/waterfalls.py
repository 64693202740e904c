"""The requests that are worth looking at span by span: the slowest, those that failed, those that met a fault. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from harness.causes.hops import Span, SpanTree
from harness.input_file import NOT_JSON
from harness.record.collecting.tail import Picked, tail
from harness.record.verdict import Hop, Waterfall, WaterfallBar

WATERFALLS_MOST: Final = 6
BARS_MOST: Final = 20
_OF_EACH_MOST: Final = 2
_DEPTH_MOST: Final = 12
_WHYS: Final = ("slowest", "failed", "fault")


class _Who(msgspec.Struct, frozen=True):
    actor: str = ""
    status: int = 0
    error: str = ""


_who: Final = msgspec.json.Decoder(_Who).decode


def waterfalls(spans: pa.Table, tree: SpanTree, windows: Mapping[str, tuple[float, float]]) -> tuple[Waterfall, ...]:
    """Two of each kind where there are so many, else more of the others; of different steps, errors and faults first.

    `windows`: when each fault may have been in force.
    """
    requests = {(one.trace_id, one.span_id): one for one in tree.requests}
    found = [(one, requests[one.trace_id, one.span_id]) for one in tail(spans, windows)]
    found.sort(key=lambda pair: (pair[0].rank, not tree.below(pair[1]), -pair[1].took_s))
    return tuple(_waterfall(one, request, tree) for one, request in _chosen(found))


def journey(tree: SpanTree, actor: str) -> tuple[Waterfall, ...]:
    """Every traced request of one actor, in the order in which they were sent; none where the journey was not kept."""
    own = [request for request in tree.requests if _told(request.attributes).actor == actor]
    own.sort(key=lambda request: request.t_start_s)
    return tuple(
        _waterfall(Picked(request.trace_id, request.span_id, request.name, "journey"), request, tree) for request in own
    )


def _chosen(found: Sequence[tuple[Picked, Span]]) -> list[tuple[Picked, Span]]:
    """A request is shown once, and no two for the same reason before there is one for each."""
    taken: dict[tuple[str, str], tuple[Picked, Span]] = {}
    for most in (_OF_EACH_MOST, WATERFALLS_MOST):
        for why in _WHYS:
            for one, request in found:
                of_why = sum(1 for other, _ in taken.values() if other.why == why)
                if len(taken) < WATERFALLS_MOST and of_why < most and one.why == why:
                    taken.setdefault((one.trace_id, one.span_id), (one, request))
    return sorted(taken.values(), key=lambda pair: _WHYS.index(pair[0].why))


def _waterfall(one: Picked, request: Span, tree: SpanTree) -> Waterfall:
    who = _told(request.attributes)
    rows = list(_rows(request, request, tree, 0))
    longest = sorted(rows, key=lambda pair: (pair[1] > 0, -pair[0].took_s))[:BARS_MOST]
    shown = {id(span) for span, _ in longest}
    own_s = sorted(tree.spent(request).items(), key=lambda item: -item[1])
    return Waterfall(
        trace_id=one.trace_id,
        actor=who.actor,
        step=one.step,
        why=one.why,
        of=one.of,
        t_s=request.t_start_s,
        took_ms=1000 * request.took_s,
        ended="ok" if request.status == "ok" else str(who.status) if who.status else who.error or "error",
        bars=tuple(_bar(span, depth, request) for span, depth in rows if id(span) in shown),
        left_out=len(rows) - len(shown),
        hops=tuple(
            Hop(name=hop, mean_ms=1000 * seconds, share=seconds / request.took_s if request.took_s else 0.0)
            for hop, seconds in own_s
        ),
    )


def _rows(span: Span, request: Span, tree: SpanTree, depth: int) -> Iterator[tuple[Span, int]]:
    """The span and what is below it, as far as it lies within the request."""
    yield span, depth
    for child in tree.below(span) if depth < _DEPTH_MOST else ():
        if child.t_start_s <= request.t_end_s and child.t_end_s >= request.t_start_s:
            yield from _rows(child, request, tree, depth + 1)


def _bar(span: Span, depth: int, request: Span) -> WaterfallBar:
    begin_s, end_s = max(span.t_start_s, request.t_start_s), min(span.t_end_s, request.t_end_s)
    return WaterfallBar(
        hop=span.hop,
        name=span.name,
        depth=depth,
        from_ms=1000 * (begin_s - request.t_start_s),
        took_ms=1000 * max(0.0, end_s - begin_s),
        failed=span.status != "ok",
    )


def _told(attributes: str) -> _Who:
    try:
        return _who(attributes)
    except NOT_JSON:
        return _Who()
