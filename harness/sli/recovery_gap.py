"""Measures the recovery gap: after a fault, the longest time in which users waited for a step and no user got it. Pure.

People in line do not notice that a breaker closes in half a second when the line stands still for two seconds more. So
this module looks at the steps that people wait for: who wanted a step, from when to when, and when somebody got it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import FaultRun, FaultsDocument, Function, Outcome
from harness.record.verdict import RecoveryGap
from harness.sli.measured import NO_CUSTOMERS, Floats
from harness.sli.measures.verbs import FUNCTIONS

ADMISSION: Final = "admission"
STEPS: Final = {ADMISSION: "Admission", "seat_map": "Seat map", "hold": "Hold", "choose": "Choice", "pay": "Payment"}
BOUND_S: Final = 1.0
_TIMES_USUAL: Final = 5.0
"""A stretch is a finding beyond `BOUND_S` and so many times the usual one before the first fault."""

_TIMES_A_VERB: Final = 2.0
"""Nor is it one within so many times what the slower fans wait for one verb before the first fault."""
_SLOWER: Final = 0.95


class Tables(Protocol):
    """The parts of a record that this module reads."""

    @property
    def faults(self) -> FaultsDocument:
        """The faults of the run."""

    def table(self, name: str) -> pa.Table:
        """A table of the record; empty when it was not written."""

    def stream_rows(self, stream: str, columns: Sequence[str], *, encoded: bool = False) -> pa.Table:
        """These columns of the events on the streams of that name; `encoded`: texts may come dictionary-encoded."""


class Wanted:
    """One step: from when (`from_s`) to when (`to_s`) each actor wanted it, and when any actor got it."""

    def __init__(self, from_s: Floats, to_s: Floats, got_s: Floats) -> None:
        order = np.argsort(from_s, kind="stable")
        self.from_s, self.to_s, self.got_s = from_s[order], to_s[order], np.sort(got_s)

    def longest(self, start_s: float, end_s: float) -> tuple[float, float] | None:
        """The longest stretch within [start_s, end_s] in which somebody always wanted the step and nobody got it."""
        stretches = list(self._stretches(start_s, end_s))
        return max(stretches, key=lambda one: one[1] - one[0], default=None)

    def usual_s(self, start_s: float, end_s: float) -> float:
        """The median length of such stretches; 0 when there is none."""
        lengths_s = [until_s - from_s for from_s, until_s in self._stretches(start_s, end_s)]
        return float(np.median(lengths_s)) if lengths_s else 0.0

    def waiting(self, start_s: float, end_s: float) -> int:
        """How many actors wanted the step at some time of a stretch."""
        return int(((self.from_s < end_s) & (self.to_s > start_s)).sum())

    def _stretches(self, start_s: float, end_s: float) -> Iterator[tuple[float, float]]:
        for from_s, to_s in self._union(start_s, end_s):
            first = np.searchsorted(self.got_s, from_s, side="right")
            inside = self.got_s[first : np.searchsorted(self.got_s, to_s, side="left")]
            edges = np.concatenate([[from_s], inside, [to_s]])
            yield from zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)

    def _union(self, start_s: float, end_s: float) -> Iterator[tuple[float, float]]:
        """The times within the bounds at which somebody wanted the step, as intervals that do not touch."""
        from_s, to_s = np.clip(self.from_s, start_s, end_s), np.clip(self.to_s, start_s, end_s)
        lasts = to_s > from_s
        from_s, until_s = from_s[lasts], np.maximum.accumulate(to_s[lasts])
        begins = np.flatnonzero(np.concatenate(([True], from_s[1:] > until_s[:-1]))[: len(from_s)])
        ends = np.append(begins[1:], len(from_s)) - 1
        yield from zip(from_s[begins].tolist(), until_s[ends[: len(begins)]].tolist(), strict=True)


def recovery_gaps(record: Tables, run: FaultRun, steps: Mapping[str, Wanted] | None = None) -> tuple[RecoveryGap, ...]:
    """The gap of each step that somebody wanted after this fault, up to the next fault or the end of the sale.

    `steps`: what `wanted_steps` says of the record, where the caller asks about several faults.
    """
    healed_s = run.t_heal_requested_s if run.t_healed_s is None else run.t_healed_s
    if healed_s is None or run.t_effective_s is None:
        return ()
    starts = [one.t_requested_s for one in record.faults.faults if one.t_requested_s is not None]
    end_s = min([start for start in starts if start > healed_s], default=np.inf)
    found = []
    for step, wanted in (wanted_steps(record) if steps is None else steps).items():
        longest = wanted.longest(healed_s, end_s)
        if longest is not None:
            found.append(
                RecoveryGap(
                    step=step,
                    title=STEPS[step],
                    t_from_s=longest[0],
                    t_to_s=longest[1],
                    waiting=wanted.waiting(*longest),
                    bound_s=max(
                        BOUND_S,
                        _TIMES_USUAL * wanted.usual_s(0.0, min(starts)),
                        _TIMES_A_VERB * _verb_s(record, step, min(starts)),
                    ),
                )
            )
    return tuple(found)


def _verb_s(record: Tables, step: str, until_s: float) -> float:
    """How long one such verb takes the slower fans before `until_s`; 0 where nobody had done one by then.

    Where one hold is six requests of half a second each, the only fan who wants one waits for three seconds.
    """
    function = FUNCTIONS.get(step)
    if function is None:
        return 0.0
    rows = record.table("operations")
    of_verb = pc.and_(pc.equal(rows["function"], function.value), pc.equal(rows["outcome"], Outcome.OK.value))
    done = rows.filter(pc.and_(of_verb, pc.less(rows["t_complete_s"], until_s)))
    took_s = pc.subtract(done["t_complete_s"], done["t_intended_s"]).drop_null().to_numpy()
    return float(np.quantile(took_s, _SLOWER)) if len(took_s) else 0.0


def _sale(record: Tables) -> pa.Table:
    """The people's requests before settling."""
    requests = record.table("requests")
    people = pc.invert(pc.is_in(requests["kind"], value_set=NO_CUSTOMERS))
    columns = requests.select(["actor", "step", "outcome", "t_intended_s", "t_end_s"])
    return columns.filter(pc.and_(people, pc.not_equal(requests["step"], "settle")))


def wanted_steps(record: Tables) -> dict[str, Wanted]:
    """Each step that people wait for, by its name."""
    sale = _sale(record)
    found = {ADMISSION: _admission(record, sale)}
    for step in ("seat_map", "hold", "choose", "pay"):
        rows = sale.filter(pc.equal(sale["step"], step))
        got = rows.filter(pc.equal(rows["outcome"], Outcome.OK.value))
        found[step] = Wanted(rows["t_intended_s"].to_numpy(), rows["t_end_s"].to_numpy(), got["t_end_s"].to_numpy())
    return found


def _admission(record: Tables, sale: pa.Table) -> Wanted:
    """From the acknowledged join until admitted, else until a fan was last seen."""
    joined = _first_ok(record.table("operations"), Function.JOIN)
    entered = _first_ok(record.table("operations"), Function.ENTER)
    events = record.stream_rows("positions", ("actor", "event", "t_s"))
    called = _by_actor(events.filter(pc.equal(events["event"], "admitted")), "t_s", "min")
    admitted = entered | called
    last_seen = _by_actor(sale, "t_end_s", "max")
    of_nobody_s = last_seen.pop("", 0.0)  # fans whose requests are summed up may have been seen as late as that
    people = sorted(joined)
    end_s = [admitted.get(actor, last_seen.get(actor, max(joined[actor], of_nobody_s))) for actor in people]
    return Wanted(
        np.array([joined[actor] for actor in people], dtype=np.float64),
        np.array(end_s, dtype=np.float64),
        np.array([admitted[actor] for actor in people if actor in admitted], dtype=np.float64),
    )


def _first_ok(operations: pa.Table, function: Function) -> dict[str, float]:
    ok = pc.and_(pc.equal(operations["function"], function.value), pc.equal(operations["outcome"], Outcome.OK.value))
    return _by_actor(operations.filter(ok), "t_complete_s", "min")


def _by_actor(rows: pa.Table, column: str, which: str) -> dict[str, float]:
    found = rows.group_by("actor").aggregate([(column, which)])
    return dict(zip(found["actor"].to_pylist(), found[f"{column}_{which}"].to_pylist(), strict=True))
