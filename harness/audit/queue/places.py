"""Places in the queue: when each fan got one, and with which number the fan was admitted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np

from harness.audit.history import Evidence
from harness.audit.queue.epochs import not_common
from harness.audit.tally import Tally

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
    claims: dict[str, PlaceClaim] = {}
    first_invoke: dict[str, float] = {}
    called_s = evidence.called_in_s
    for at, join in enumerate(evidence.joins):
        if not (join.ok or join.unknown):
            continue
        known = claims.get(join.actor)
        if known and known.t_acked_s <= called_s.get(join.actor, math.inf) < join.t_invoke_s:
            del claims[join.actor], first_invoke[join.actor]
            known = None
        first_s = first_invoke[join.actor] = min(join.t_invoke_s, first_invoke.get(join.actor, join.t_invoke_s))
        lost = known and not join.value.again and join.value.epoch != evidence.joins[known.join_at].value.epoch
        if join.ok and (known is None or lost or join.t_end_s < known.t_acked_s):
            claims[join.actor] = PlaceClaim(at, join.t_end_s, first_s, join.value.parked, bool(join.value.ticket))
    return claims


def admitted_places(evidence: Evidence, claims: dict[str, PlaceClaim]) -> list[AdmittedPlace]:
    """The places of those who were admitted. A forged ticket has the number of its owner, and is left out."""
    admitted: dict[str, AdmittedPlace] = {}
    for at, enter in enumerate(evidence.enters):
        number, actor = enter.value.admission_no, enter.actor
        if enter.ok and number is not None and actor in claims and actor not in admitted:
            admitted[actor] = AdmittedPlace(actor, claims[actor], at, enter.t_end_s, enter.value.epoch, number)
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
        and all(enter.value.admission_no is None for enter in entered)
    )


def unnumbered(evidence: Evidence) -> int:
    """How many fans were let in without an admission number; 0 where nobody was given one: then none is needed."""
    numbered: dict[str, bool] = {}
    for enter in evidence.enters.ok:
        numbered[enter.actor] = numbered.get(enter.actor, False) or enter.value.admission_no is not None
    without = sum(not one for one in numbered.values())
    return without if without < len(numbered) else 0


def doubt_numbers(evidence: Evidence, tally: Tally) -> None:
    """Nothing is held where fans came in without a number, or with one of an epoch that was not common."""
    if without := unnumbered(evidence):
        tally.undecided = True
        tally.note = f"{without} fans were let in without an admission number"
    elif why := not_comparable(evidence):
        tally.undecided, tally.note = True, why


def not_comparable(evidence: Evidence) -> str:
    """Why admission numbers tell no order; "" where they do. A number without an epoch is of one for all."""
    enters = [enter for enter in evidence.enters.ok if enter.value.admission_no is not None]
    _, actors = np.unique([enter.actor for enter in enters], return_inverse=True)
    _, epochs = np.unique([enter.value.epoch for enter in enters], return_inverse=True)
    return not_common(evidence, actors, epochs, np.array([enter.t_end_s for enter in enters])) if enters else ""


def comparable_pairs(places: Sequence[AdmittedPlace], margin_s: float) -> int:
    """In how many pairs one surely had a place before the other asked for theirs. O(n log n)."""
    acked_s = np.sort([place.claim.t_acked_s + margin_s for place in places])
    asked_s = [place.claim.t_first_invoke_s for place in places]
    return int(np.searchsorted(acked_s, asked_s, side="left").sum())
