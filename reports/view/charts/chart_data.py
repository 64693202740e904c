"""What the charts show, in words and as tables: for who cannot see them, and for who wants the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.record.schema import Struct
from reports import text
from reports.view.charts.timeline import Release, Timeline

_ROWS_MOST: Final = 90


class ChartTable(Struct, frozen=True):
    """The figures behind a chart."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def timeline_table(data: Timeline) -> ChartTable:
    """A row for each second; of a long run each row stands for several seconds: sums of requests, the worst times."""
    seconds = len(data.second_s) - 1
    width = max(1, -(-seconds // _ROWS_MOST))
    starts = range(0, seconds, width)
    header = ("From", "ok", "failed", "unknown", *(f"{lane.title} {q}" for lane in data.lanes for q in ("p50", "p99")))
    return ChartTable(
        caption=f"Each row is {text.counted(width, 'second')}; response times are the highest of its seconds.",
        header=header,
        rows=tuple(tuple(_cells(data, at, at + width)) for at in starts),
    )


def _cells(data: Timeline, first: int, last: int) -> Iterator[str]:
    yield text.at(float(data.second_s[first]))
    for name in ("ok", "fail", "unknown"):
        yield text.count(int(data.outcomes[name][first:last].sum()))
    for lane in data.lanes:
        for values in (lane.p50_ms, lane.p99_ms):
            known = values[first:last][np.isfinite(values[first:last])]
            yield text.milliseconds(float(known.max())) if known.size else text.ABSENT


def timeline_seen(data: Timeline) -> str:
    """What a person sees in the timeline, in sentences."""
    return " ".join(_seen(data))


def _seen(data: Timeline) -> Iterator[str]:
    sent = np.sum(list(data.outcomes.values()), axis=0)
    top = int(np.argmax(sent))
    yield f"Most requests in one second: {text.count(int(sent[top]))}, from {text.at(float(data.second_s[top]))}."
    bad = data.outcomes["fail"] + data.outcomes["unknown"]
    if bad.any():
        worst = int(np.argmax(bad))
        when = float(data.second_s[worst])
        under = [fault.name for fault in data.faults if fault.start_s <= when + 1 and when <= fault.end_s]
        blame = f", under {', '.join(under)}" if under else ", under no fault"
        share = f"{text.count(int(bad.sum()))} were not ok, most of them ({text.count(int(bad[worst]))})"
        yield f"{share} in the second from {text.at(when)}{blame}."
    for lane in data.lanes:
        if np.isfinite(lane.p99_ms).any():
            at = int(np.nanargmax(lane.p99_ms))
            slowest = text.milliseconds(float(lane.p99_ms[at]))
            yield f"{lane.title}: slowest p99 {slowest} at {text.at(float(lane.t_s[at]))}."
    if "ticket" in data.stages:
        yield f"At the end {text.count(int(data.stages['ticket'][-1]))} buyers have a ticket."
    for breaker in data.breakers:
        opened = [span for span in breaker.spans if span.state == "open"]
        if opened:
            spans = ", ".join(f"{text.at(span.start_s)} to {text.at(span.end_s)}" for span in opened)
            yield f"The breaker {breaker.name} was open {spans}."


def release_table(data: Release) -> ChartTable:
    """First sends and first answers; each row several bins of 10 ms."""
    bins = len(data.sends)
    width = max(1, -(-bins // _ROWS_MOST))
    return ChartTable(
        caption=f"Each row is {text.milliseconds(10.0 * width)}.",
        header=("From", "First sends", "First answers"),
        rows=tuple(
            (
                text.exactly_at(float(data.edges_s[at])),
                text.count(int(data.sends[at : at + width].sum())),
                text.count(int(data.answers[at : at + width].sum())),
            )
            for at in range(0, bins, width)
        ),
    )
