"""Compares how fans were treated: admission order against the declared policy, cohorts, and the positions told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import Function
from harness.record.verdict import Figure
from harness.sli.examinations.line import InLine, line, overtaken
from harness.sli.measured import Observations
from harness.sli.statistics import ENOUGH, Estimate, difference_of_means, rank_correlation

_QUARTER: Final = 4
_OF_THE_LINE: Final = "% of the line"


class _Queue(msgspec.Struct, frozen=True):
    queue_policy: str = "fifo"
    pre_queue_s: float = 0.0


class _Forged(msgspec.Struct, frozen=True):
    ticket: str = ""


def fairness(seen: Observations) -> Iterator[Figure]:
    """All figures on how people were treated. An advantage is a difference of mean places in the line of admission.

    When places are drawn by lot, fans who came too late for the draw are left out, because they cannot be compared with
    fans who took part.
    """
    places = line(seen)
    queue = msgspec.convert(seen.record.run.scenario.get("on_sale", {}), _Queue)
    policy = queue.queue_policy
    equals = [place for place in places if policy == "fifo" or place.t_acked_s < queue.pre_queue_s]
    yield from _order(equals, policy, seen)
    humans = [place for place in equals if not place.is_bot]
    bots = [place for place in equals if place.is_bot]
    yield _advantage("bots_over_fans", "Bots ahead of fans", bots, humans)
    yield from _by_connect(humans, policy)
    yield from _by_worker(humans)
    yield from _jumpers(seen)
    yield from _honesty(places, seen)


def _order(places: Sequence[InLine], policy: str, seen: Observations) -> Iterator[Figure]:
    """Checks the declared order: counts inversions under first come, first admitted; correlates with arrival under
    lots.
    """
    if policy == "shuffle":
        found = rank_correlation([p.t_join_s for p in places], [p.admission_no for p in places])
        note = "0 is a fair draw: the time of joining tells nothing about the place; −1 or 1 is an order"
        yield _estimated(
            "draw_bias", "Bias of the draw by time of joining", "rank correlation", found, len(places), note
        )
        return
    widths = overtaken(places, seen.everybody.clock_margin_s)
    note = "admitted ahead of somebody who had joined before they began to"
    yield Figure(
        name="overtakers",
        title="Fans and bots who overtook",
        value=float(len(widths)) if places else None,
        unit="of those admitted",
        samples=len(places),
        note=note,
    )
    yield Figure(
        name="overtaken_by_max",
        title="Furthest overtaken",
        value=float(max(widths, default=0)) if places else None,
        unit="places",
        samples=len(places),
    )


def _by_connect(humans: Sequence[InLine], policy: str) -> Iterator[Figure]:
    """Compares the quarter of the fans that connected first with the quarter that connected last."""
    known = sorted((p for p in humans if p.t_connect_s is not None), key=lambda p: p.t_connect_s or 0.0)
    quarter = len(known) // _QUARTER
    first, last = known[:quarter], known[len(known) - quarter :]
    note = "first come, first served rewards it" if policy == "fifo" else "a draw should not reward it"
    yield _advantage("first_over_last", "First quarter to connect ahead of the last", first, last, note)


def _by_worker(humans: Sequence[InLine]) -> Iterator[Figure]:
    """Compares each load generator with the others: one that is ahead was better connected, and misrepresents fans."""
    workers = sorted({place.worker for place in humans})
    for worker in workers if len(workers) > 1 else ():
        own = [place for place in humans if place.worker == worker]
        rest = [place for place in humans if place.worker != worker]
        yield _advantage(f"worker_{worker}_over_rest", f"Worker {worker} ahead of the others", own, rest)


def _jumpers(seen: Observations) -> Iterator[Figure]:
    """Counts attempts to get past the queue: forged tickets that bots show, and probes after settling."""
    operations = seen.record.table("operations")
    joins = pc.equal(operations["function"], Function.JOIN.value)
    probes = pc.equal(operations["function"], Function.PROBE.value)
    shown = pc.and_(joins, pc.match_substring(operations["value"], '"ticket"'))
    rows = operations.filter(pc.or_(probes, shown)).select(["function", "value", "outcome"]).to_pylist()
    decode = msgspec.json.Decoder(_Forged).decode
    tries = [row for row in rows if row["function"] == Function.PROBE.value or decode(row["value"]).ticket]
    through = sum(1 for row in tries if row["outcome"] == "ok")
    yield Figure(
        name="queue_jumps",
        title="Tries to jump the queue that were let in",
        value=float(through) if tries else None,
        unit="of those tried",
        samples=len(tries),
        note="whether one got as far as a seat is judged by no_queue_bypass" if tries else "nobody tried",
    )


def _honesty(places: Sequence[InLine], seen: Observations) -> Iterator[Figure]:
    """A position says how many fans will be admitted first. Compares each position told with how many really were."""
    events = seen.every_position
    called = _stamped(events, "admitted").group_by("actor").aggregate([("t_s", "max")])
    called_s = dict(zip(called["actor"].to_pylist(), called["t_s_max"].to_pylist(), strict=True))
    since = np.sort([called_s.get(place.actor, place.t_admitted_s) for place in places])
    told = _stamped(events, "position")
    rank = pc.index_in(told["actor"], value_set=pa.array([place.actor for place in places], pa.string()))
    told, rank = told.filter(pc.is_valid(rank)), rank.drop_null().to_numpy()
    ahead = rank + 1 - np.searchsorted(since, told["t_s"].to_numpy(), side="right")
    errors = pc.fill_null(told["value"], 0).to_numpy() - ahead
    enough = len(errors) >= ENOUGH
    median = float(np.median(errors)) if enough else None
    p95 = float(np.quantile(np.abs(errors), 0.95, method="inverted_cdf")) if enough else None
    note = "above 0: fewer were ahead than was said, as when people leave; below 0: more, as when they are called late"
    for name, title, value in (
        ("position_error_p50", "Error of the positions told, median", median),
        ("position_error_p95", "Error of the positions told, p95 of its size", p95),
    ):
        yield Figure(name=name, title=title, value=value, unit="places", samples=len(errors), note=note)


def _stamped(events: pa.Table, event: str) -> pa.Table:
    """Columns actor, t_s and value of each such event; the time is the platform's own stamp when there is one."""
    rows = events.filter(pc.equal(events["event"], event))
    stamps = pc.coalesce(rows["t_sent_s"], rows["t_s"])
    return pa.table({"actor": rows["actor"], "t_s": stamps, "value": rows["value"]})


def _advantage(name: str, title: str, ahead: Sequence[InLine], behind: Sequence[InLine], note: str = "") -> Figure:
    """By what share of the line the first cohort is ahead of the second on average."""
    found = difference_of_means([100 * place.share for place in behind], [100 * place.share for place in ahead])
    few = f"too few to tell: {len(ahead)} and {len(behind)}, at least {ENOUGH} of each are needed"
    return _estimated(name, title, _OF_THE_LINE, found, len(ahead) + len(behind), note if found else few)


def _estimated(name: str, title: str, unit: str, found: Estimate | None, samples: int, note: str) -> Figure:
    if found is None:
        return Figure(name=name, title=title, value=None, unit=unit, samples=samples, note=note)
    return Figure(
        name=name,
        title=title,
        value=found.value,
        unit=unit,
        low=found.low,
        high=found.high,
        detectable=found.detectable,
        samples=samples,
        note=note,
    )
