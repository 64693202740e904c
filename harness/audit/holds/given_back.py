"""What an identity gave back no longer counts for its purchase limit: judged where it asks for as many again."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from harness.audit.history import Evidence
from harness.audit.holds.late import RECOVERY_S, SeatClaim
from harness.audit.operations import Operation, SeatsValue
from harness.audit.tally import Tally, during

_LIMIT: Final = "limit"
_OPEN_S: Final = float("inf")


def counts_no_longer(evidence: Evidence, claims: list[SeatClaim], tally: Tally) -> None:
    """Reports refusals for the limit that only seats explain which had surely been given back by then.

    A chance is an identity that asked for more than its limit leaves if all that it ever held counts, and was granted
    it, though it had to be. `claims` know when holds run out; they take a hold that was released to last until then. It
    counts as given back from the answer to the release, but no more once a fault may have lost that; on a platform of
    the user's own, from so much later as a hold may outlive its time.
    """
    rules = evidence.rules
    if rules is None or not rules.purchase_limit or evidence.baseline_orders:
        return
    limit = min(rules.purchase_limit, rules.order_limit or rules.purchase_limit)
    late_s = 0.0 if evidence.on_sale is not None else rules.hold_late_max_s
    back_s = {one.key: one.t_end_s + late_s + evidence.clock_margin_s for one in evidence.releases.ok}
    again = _who_asked_again(evidence, limit)
    theirs: dict[str, list[SeatClaim]] = defaultdict(list)
    for claim in claims if again else ():
        owner = claim.hold.identity if claim.hold else ""
        if not owner or owner in again:
            theirs[owner].append(claim)
    for identity, asked in again.items():
        had: set[str] = set()  # every hold and seat that it was granted so far
        for one in asked:
            kept = [claim for claim in (*theirs[identity], *theirs[""]) if _may_have(claim, one, evidence)]
            left = [claim for claim in kept if not _is_back(claim, one, back_s, evidence)]
            asks = len(one.value.seats)
            if len(left) + asks <= limit < len(had) + asks:
                if one.ok:
                    tally.chance()
                elif len(kept) + asks > limit:  # else it had so few left that no release is needed to see it
                    _report(one, len(left), limit, tally)
            if one.ok:
                had |= {f"{one.key} {seat}" for seat in one.value.seats}


def _who_asked_again(evidence: Evidence, limit: int) -> dict[str, list[Operation[SeatsValue]]]:
    """Identity → its holds that were granted or refused for the limit, where they are more than the limit in all.

    Of an identity that asked for tickets without seats too nothing is said: those count as well.
    """
    asked: dict[str, list[Operation[SeatsValue]]] = defaultdict(list)
    repeated = set(evidence.askings.repeated_identities)
    for one in evidence.holds:
        if one.identity in repeated and one.value.seats and (one.ok or one.error == _LIMIT):
            asked[one.identity].append(one)
    mixed = {one.identity for one in evidence.holds.naming("pool") if one.value.pool}
    of_seats = {who: each for who, each in asked.items() if who not in mixed}
    return {who: each for who, each in of_seats.items() if sum(len(one.value.seats) for one in each) > limit}


def _may_have(claim: SeatClaim, one: Operation[SeatsValue], evidence: Evidence) -> bool:
    """Whether they may have had the seat when they asked. What they were granted then is not meant."""
    if claim.hold is not None and one.ok and claim.hold.key == one.key:
        return False
    margin_s = evidence.clock_margin_s
    return claim.t_from_s <= one.t_end_s + margin_s and claim.t_until_s >= one.t_invoke_s - margin_s


def _is_back(claim: SeatClaim, one: Operation[SeatsValue], back_s: dict[str, float], evidence: Evidence) -> bool:
    released_s = back_s.get(claim.hold.key, _OPEN_S) if claim.hold is not None else _OPEN_S
    if released_s >= one.t_invoke_s:
        return False
    return not (evidence.unrest or evidence.faults_between(released_s - RECOVERY_S, one.t_end_s))


def _report(one: Operation[SeatsValue], left: int, limit: int, tally: Tally) -> None:
    releases = (
        during(release, f"{release.actor} gave back {release.value.words}")
        for release in tally.evidence.releases.ok
        if release.identity == one.identity and release.t_end_s < one.t_invoke_s
    )
    tally.violated(
        f"{one.identity} was refused {len(one.value.seats)} seats for the limit of {limit}, "
        f"and had {left} at most: what it had given back still counts",
        *releases,
        during(one, f"{one.actor} asked for {one.value.words} and was told that it is over the limit"),
    )
