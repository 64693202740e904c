"""How fast fans are let in: never faster than the on-sale's rate and burst, over any stretch of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import NO_RULES, EnterValue, Evidence, Operation
from harness.audit.tally import Moment, Tally
from harness.scenario import OnSale

_NEVER_S: Final = float("-inf")
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Admitted:
    """One admission, which lies in [t_waiting_s, t_told_s]: the fan surely still waited, and surely was admitted."""

    actor: str
    admission_no: int
    t_waiting_s: float
    t_told_s: float


@dataclass(frozen=True, slots=True)
class Stretch:
    """So many admissions, the first of them after the one instant and the last before the other."""

    first: Admitted
    last: Admitted
    count: int
    allowed: float

    @property
    def length_s(self) -> float:
        """From the instant at which the first still waited to the one at which the last was admitted."""
        return self.last.t_told_s - self.first.t_waiting_s


def admission_rate(evidence: Evidence) -> Tally:
    """In no stretch of time more fans are admitted than rate × length + burst: 1, 10, 60 s, and any other.

    When a fan was admitted is not seen, but bounded: not before the last-but-one position event was sent (by the
    platform's stamp; the last one may have been looked up before), and at the latest when they were told. Admission
    numbers give the order, so that each bound holds for all who come after, or before. A stretch is flagged only if
    even the widest reading of its ends leaves too many in it. With an adaptive rate the ceiling is the limit.
    """
    tally = Tally(evidence, unknowns=sum(1 for enter in evidence.enters if enter.unknown))
    if evidence.on_sale is None:
        tally.hidden = NO_RULES
        return tally
    admitted = _admitted(evidence)
    tally.checked = len(admitted)
    if len({one.admission_no for one in admitted}) < len(admitted):
        tally.undecided = True
        tally.note = "admission numbers were given twice, so they tell no order"
        return tally
    ordered = _ordered(admitted)
    if any(one.t_waiting_s > one.t_told_s + evidence.clock_margin_s for one in ordered):
        tally.undecided = True
        tally.note = "admission numbers contradict what fans were told when, so they tell no order"
        return tally
    rate_per_s, burst = _limit(evidence.on_sale)
    worst = _worst(ordered, rate_per_s, burst)
    if worst is None:
        tally.checked = 0
        tally.note = "nobody is known to have waited and then been admitted with an admission number"
        return tally
    found = f"{worst.count} fans were admitted within {worst.length_s:.2f} s"
    promised = f"at {rate_per_s:g} per s and a burst of {burst} at most {int(worst.allowed)} may be"
    if worst.count > worst.allowed:
        tally.violated(f"{found}; {promised}", *_moments(worst))
    else:
        tally.note = f"at the closest {found}; {promised}"
    return tally


def _limit(on_sale: OnSale) -> tuple[float, int]:
    fixed = on_sale.admission == "fixed"
    return on_sale.admission_rate_per_s if fixed else on_sale.admission_ceiling_per_s, on_sale.admission_burst


def _worst(admitted: list[Admitted], rate_per_s: float, burst: int) -> Stretch | None:
    """The stretch nearest to its limit, or furthest beyond. One pass: the best start so far is kept.

    With n numbering the admissions, a stretch from a to b is beyond its limit by
    (n_b + 1 − rate × told_b) − (n_a − rate × waiting_a) − burst.
    """
    worst: tuple[float, int, int] | None = None
    start, start_cost = 0, float("inf")
    for number, one in enumerate(admitted):
        cost = number - rate_per_s * one.t_waiting_s
        if cost < start_cost:
            start, start_cost = number, cost
        beyond = number + 1 - rate_per_s * one.t_told_s - start_cost - burst
        if np.isfinite(beyond) and (worst is None or beyond > worst[0]):
            worst = (beyond, start, number)
    if worst is None:
        return None
    _, a, b = worst
    length_s = admitted[b].t_told_s - admitted[a].t_waiting_s
    return Stretch(admitted[a], admitted[b], b - a + 1, rate_per_s * length_s + burst)


def _ordered(admitted: list[Admitted]) -> list[Admitted]:
    """By admission number, each interval as narrow as the order makes it."""
    ordered = sorted(admitted, key=lambda one: one.admission_no)
    waiting = np.maximum.accumulate([one.t_waiting_s for one in ordered])
    told = np.minimum.accumulate([one.t_told_s for one in reversed(ordered)])[::-1]
    return [
        Admitted(one.actor, one.admission_no, float(after_s), float(before_s))
        for one, after_s, before_s in zip(ordered, waiting, told, strict=True)
    ]


def _admitted(evidence: Evidence) -> list[Admitted]:
    """One for each fan and admission number. A forged ticket has the number of its owner, and is left out."""
    forged = {join.actor for join in evidence.joins if join.value.ticket}
    first: dict[tuple[str, int], Operation[EnterValue]] = {}
    for enter in evidence.enters:
        number = enter.value.admission_no
        if enter.ok and number is not None and enter.actor not in forged:
            first.setdefault((enter.actor, number), enter)
    joined: dict[str, float] = {}
    for join in evidence.joins:
        joined.setdefault(join.actor, join.t_invoke_s)
    streams = _Streams.of(evidence)
    return [
        Admitted(
            actor,
            number,
            max(joined.get(actor, _NEVER_S), streams.waiting_s(actor, enter.t_end_s)),
            min(enter.t_end_s, streams.told_s(actor, enter.t_end_s)),
        )
        for (actor, number), enter in first.items()
    ]


@dataclass(frozen=True, slots=True)
class _Streams:
    """The position streams by fan. `events`: (received, sent) of the positions; `calls`: received of the admissions."""

    events: dict[str, tuple[Floats, Floats]]
    calls: dict[str, Floats]

    @classmethod
    def of(cls, evidence: Evidence) -> _Streams:
        events = evidence.record.table("events")
        events = events.filter(pc.equal(events["stream"], "positions")).select(["actor", "event", "t_s", "t_sent_s"])
        positions = events.filter(pc.and_(pc.equal(events["event"], "position"), pc.is_valid(events["t_sent_s"])))
        delay_s = pc.min(pc.subtract(positions["t_s"], positions["t_sent_s"])).as_py() or 0.0
        ahead_s = min(0.0, delay_s)  # a stamp from the future: the platform's clock is ahead by at least this
        received = _by_actor(positions, "t_s")
        sent = _by_actor(positions, "t_sent_s")
        calls = _by_actor(events.filter(pc.equal(events["event"], "admitted")), "t_s")
        return cls({actor: (times, sent[actor] + ahead_s) for actor, times in received.items()}, calls)

    def waiting_s(self, actor: str, until_s: float) -> float:
        """The last instant at which the fan surely still waited, of what was received by `until_s`."""
        if actor not in self.events:
            return _NEVER_S
        received, sent = self.events[actor]
        count = int(np.searchsorted(received, min(until_s, self.told_s(actor, until_s)), side="right"))
        return float(sent[count - 2]) if count >= 2 else _NEVER_S

    def told_s(self, actor: str, until_s: float) -> float:
        """When the stream said last that the fan is admitted, by `until_s`; infinite if it never did."""
        calls = self.calls.get(actor)
        count = 0 if calls is None else int(np.searchsorted(calls, until_s, side="right"))
        return float("inf") if calls is None or not count else float(calls[count - 1])


def _by_actor(rows: pa.Table, column: str) -> dict[str, Floats]:
    """The column's values of each actor, by the time of receipt."""
    rows = rows.sort_by([("actor", "ascending"), ("t_s", "ascending")])
    values = rows[column].to_numpy()
    runs = pc.run_end_encode(rows["actor"].combine_chunks())
    ends = runs.run_ends.to_pylist()
    return {
        actor: values[start:end] for actor, start, end in zip(runs.values.to_pylist(), [0, *ends], ends, strict=False)
    }


def _moments(worst: Stretch) -> tuple[Moment, Moment]:
    first, last = worst.first, worst.last
    waited = f"admission no. {first.admission_no} was not yet given: {first.actor}, or one let in before, still waited"
    told = f"admission no. {last.admission_no} was given by now: {last.actor}, or one let in after, was told so"
    at_s, end_s = first.t_waiting_s, last.t_told_s
    return Moment(first.actor, waited, (at_s, at_s)), Moment(last.actor, told, (at_s, end_s))
