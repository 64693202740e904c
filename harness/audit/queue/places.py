"""Places in the queue: when each fan got one, and with which number the fan was admitted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.queue.epochs import not_common
from harness.audit.tally import Tally
from harness.record.schema import Outcome

NO_NUMBERS: Final = "the platform gives no admission numbers, so nobody can see in which order it lets fans in"


class PlaceClaim(msgspec.Struct, frozen=True, gc=False):
    """A place that a fan was told of: they surely had it from `t_acked_s`, and did not ask before `t_first_invoke_s`.

    `join_at`: the join that gave it, by its number in the evidence. `parked`: while the queue was away. `forged`: with
    another's ticket.
    """

    join_at: int
    t_acked_s: float
    t_first_invoke_s: float
    parked: bool
    forged: bool


class AdmittedPlace(msgspec.Struct, frozen=True, gc=False):
    """A place whose fan was admitted: as which number of which epoch, in the exchange `enter_at` of the evidence.

    Numbers of one epoch tell the order of admission; those of two epochs tell nothing of each other.
    """

    actor: str
    claim: PlaceClaim
    enter_at: int
    t_entered_s: float
    epoch: str
    admission_no: int


def claims_of(evidence: Evidence) -> dict[str, PlaceClaim]:
    """Actor → their place, of everybody who was told of one.

    A parked join (a ticket given while the queue was away) is an ack like any other. A fan who was called in and did
    not come, and then joined again, has used up the first place: the new one counts. Who joins again keeps the place.
    But if that was without the ticket, and in another epoch, the queue may have lost its data, and nothing but the
    ticket had the place: from when the fan surely had one is then known of the new join only.
    """
    return evidence.once("claims_of", lambda: _claims_of(evidence))


def _claims_of(evidence: Evidence) -> dict[str, PlaceClaim]:
    claims: dict[str, PlaceClaim] = {}
    first_invoke: dict[str, float] = {}
    called_s, joins = evidence.called_in_s, evidence.joins
    taken_in = ~joins.outcomes(Outcome.FAIL)
    epochs = joins.column("epoch").to_pylist()
    columns = (joins.actors, joins.outcomes(Outcome.OK), joins.t_invoke_s, joins.t_end_s, joins.column("epoch"))
    values = (joins.column("again"), joins.column("parked"), pc.not_equal(joins.column("ticket"), ""))
    cells = (np.asarray(column)[taken_in].tolist() for column in (*columns, *values))
    for at, actor, ok, invoke_s, end_s, epoch, again, parked, forged in zip(
        np.flatnonzero(taken_in).tolist(), *cells, strict=True
    ):
        known = claims.get(actor)
        if known and known.t_acked_s <= called_s.get(actor, math.inf) < invoke_s:
            del claims[actor], first_invoke[actor]
            known = None
        first_s = first_invoke[actor] = min(invoke_s, first_invoke.get(actor, invoke_s))
        lost = known and not again and epoch != epochs[known.join_at]
        if ok and (known is None or lost or end_s < known.t_acked_s):
            claims[actor] = PlaceClaim(at, end_s, first_s, parked, forged)
    return claims


def admitted_places(evidence: Evidence, claims: dict[str, PlaceClaim]) -> list[AdmittedPlace]:
    """The places of those who were admitted. A forged ticket has the number of its owner, and is left out."""
    admitted: dict[str, AdmittedPlace] = {}
    enters = evidence.enters
    numbered = enters.outcomes(Outcome.OK) & np.asarray(pc.is_valid(enters.column("admission_no")))
    columns = (enters.actors, enters.t_end_s, enters.column("epoch"), pc.fill_null(enters.column("admission_no"), 0))
    cells = (np.asarray(column)[numbered].tolist() for column in columns)
    for at, actor, end_s, epoch, number in zip(np.flatnonzero(numbered).tolist(), *cells, strict=True):
        if actor in claims and actor not in admitted:
            admitted[actor] = AdmittedPlace(actor, claims[actor], at, end_s, epoch, number)
    owners = {(place.epoch, place.admission_no) for place in admitted.values() if not place.claim.forged}
    return [
        place for place in admitted.values() if not (place.claim.forged and (place.epoch, place.admission_no) in owners)
    ]


def by_epoch(places: Sequence[AdmittedPlace], tally: Tally) -> list[list[AdmittedPlace]]:
    """The places of each epoch in the order of their numbers; nothing, and undecided, where a number is there twice."""
    epochs: defaultdict[str, list[AdmittedPlace]] = defaultdict(list)
    for place in sorted(places, key=lambda place: place.admission_no):
        epochs[place.epoch].append(place)
    for group in epochs.values():
        if len({place.admission_no for place in group}) < len(group):
            tally.undecided = True
            tally.note = "admission numbers were given twice, so they tell no order"
            return []
    return list(epochs.values())


def shows_no_numbers(evidence: Evidence) -> bool:
    """Whether fans were let in and a platform of the user's own gave none of them an admission number."""
    entered = evidence.enters.ok
    return (
        evidence.own_platform is not None
        and len(entered) > 0
        and entered.column("admission_no").null_count == len(entered)
    )


def unnumbered(evidence: Evidence) -> int:
    """How many fans were let in without an admission number; 0 where nobody was given one: then none is needed."""
    entered = evidence.enters.ok
    everybody = len(pc.unique(entered.actors))
    numbered = len(pc.unique(entered.actors.filter(pc.is_valid(entered.column("admission_no")))))
    return everybody - numbered if numbered else 0


def doubt_numbers(evidence: Evidence, tally: Tally) -> None:
    """Nothing is held where fans came in without a number, or with one of an epoch that was not common."""
    if without := unnumbered(evidence):
        tally.undecided = True
        tally.note = f"{without} fans were let in without an admission number"
    elif why := not_comparable(evidence):
        tally.undecided, tally.note = True, why


def not_comparable(evidence: Evidence) -> str:
    """Why admission numbers tell no order; "" where they do. A number without an epoch is of one for all."""
    return evidence.once("not_comparable", lambda: _not_comparable(evidence))


def _not_comparable(evidence: Evidence) -> str:
    entered = evidence.enters.ok
    enters = entered.where(pc.is_valid(entered.column("admission_no")))
    actors, epochs = (
        pc.dictionary_encode(names).indices.to_numpy().astype(np.int64)
        for names in (enters.actors, enters.column("epoch"))
    )
    return not_common(evidence, actors, epochs, enters.t_end_s) if len(enters) else ""


def comparable_pairs(places: Sequence[AdmittedPlace], margin_s: float) -> int:
    """In how many pairs one surely had a place before the other asked for theirs. O(n log n)."""
    acked_s = np.sort([place.claim.t_acked_s + margin_s for place in places])
    asked_s = [place.claim.t_first_invoke_s for place in places]
    return int(np.searchsorted(acked_s, asked_s, side="left").sum())
