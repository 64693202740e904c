"""The queue from the record: when and from which worker each fan joined, and with which number it was admitted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec
import pyarrow.compute as pc

from harness.record.schema import BOT_ACTOR, Function
from harness.sli.measured import Observations


class InLine(msgspec.Struct, frozen=True):
    """One actor who joined and was admitted. `share`: the actor's place in the line, from 0 (first) to 1 (last).

    `t_connect_s`: when the actor's first request went out; null when that is not known.
    """

    actor: str
    worker: int
    t_connect_s: float | None
    t_join_s: float
    t_acked_s: float
    t_admitted_s: float
    admission_no: int
    share: float

    @property
    def is_bot(self) -> bool:
        """Whether the actor is a bot."""
        return self.actor.startswith(BOT_ACTOR)


def line(seen: Observations) -> tuple[InLine, ...]:
    """All actors who joined and were admitted, in the order of admission.

    A number that was given twice counts for the first actor who got it. Each epoch's numbers begin again, so the
    numbers of the epochs before are added to them.
    """
    evidence = seen.everybody
    joins: dict[str, tuple[float, float]] = {}
    acked = evidence.joins.ok
    for actor, t_join_s, t_acked_s in zip(
        acked.actors.to_pylist(), acked.t_invoke_s.tolist(), acked.t_end_s.tolist(), strict=True
    ):
        joins.setdefault(actor, (t_join_s, t_acked_s))
    numbers: dict[tuple[str, int], str] = {}
    admitted: dict[str, tuple[str, int, float]] = {}
    enters = evidence.enters.ok
    columns = (enters.actors, enters.column("epoch"), enters.column("admission_no"), enters.t_end_s)
    for actor, epoch, number, t_end_s in zip(*(column.tolist() for column in columns), strict=True):
        counts = actor in joins and actor not in admitted
        if counts and number is not None and numbers.setdefault((epoch, number), actor) == actor:
            admitted[actor] = (epoch, number, t_end_s)
    workers, connects = _workers(seen), _connects(seen)
    before = _before(admitted.values())
    ordered = sorted(admitted.items(), key=lambda item: before[item[1][0]] + item[1][1])
    return tuple(
        InLine(
            actor=actor,
            worker=workers.get(actor, 0),
            t_connect_s=connects.get(actor),
            t_join_s=joins[actor][0],
            t_acked_s=joins[actor][1],
            t_admitted_s=t_admitted_s,
            admission_no=before[epoch] + number,
            share=(at + 0.5) / len(ordered),
        )
        for at, (actor, (epoch, number, t_admitted_s)) in enumerate(ordered)
    )


def _before(admitted: Iterable[tuple[str, int, float]]) -> dict[str, int]:
    """Epoch → the sum of the highest numbers of all epochs that were seen earlier."""
    highest: dict[str, int] = {}
    first_s: dict[str, float] = {}
    for epoch, number, t_s in admitted:
        highest[epoch] = max(number, highest.get(epoch, 0))
        first_s[epoch] = min(t_s, first_s.get(epoch, t_s))
    epochs = sorted(first_s, key=lambda epoch: first_s[epoch])
    return dict(zip(epochs, accumulate((highest[epoch] for epoch in epochs), initial=0), strict=False))


def overtaken(places: Sequence[InLine], margin_s: float) -> list[int]:
    """By how many places each overtaker was early: it was admitted before an actor whose join had ended before its own.

    Joins that overlap have no order. `margin_s`: by how much the clocks of two workers may differ.
    """
    by_ack = sorted(places, key=lambda place: place.t_acked_s)
    worst, acked, widths = 0, 0, []
    for place in sorted(places, key=lambda place: place.t_join_s):
        while acked < len(by_ack) and by_ack[acked].t_acked_s + margin_s < place.t_join_s:
            worst = max(worst, by_ack[acked].admission_no)
            acked += 1
        if worst > place.admission_no:
            widths.append(worst - place.admission_no)
    return widths


def _workers(seen: Observations) -> dict[str, int]:
    operations = seen.record.table("operations")
    joins = operations.filter(pc.equal(operations["function"], Function.JOIN.value))
    return dict(zip(joins["actor"].to_pylist(), joins["worker"].to_pylist(), strict=True))


def _connects(seen: Observations) -> dict[str, float]:
    """Actor → when the actor's first request went out, for the requests that have a row in the record."""
    requests = seen.record.table("requests")
    pages = requests.filter(pc.equal(requests["step"], "queue_page"))
    first = pages.group_by("actor").aggregate([("t_start_s", "min")])
    sent = dict(zip(first["actor"].to_pylist(), first["t_start_s_min"].to_pylist(), strict=True))
    sent.pop("", None)  # summed requests: their user is not known
    return sent
