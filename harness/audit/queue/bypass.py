"""Checks `no_queue_bypass`: every fan who gets seats was admitted through the queue."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import EnterValue, JoinValue, Operation
from harness.audit.spec import specified
from harness.audit.tally import Tally, during
from harness.record.schema import INVENTED_CODE, PROBE_ACTOR


def no_queue_bypass(evidence: Evidence) -> Tally:
    """No hold without a pass, no pass without a place, and no forged ticket and no probe ever gets as far as a hold.

    A forged ticket is one that its bearer was not given: replayed, shared or tampered with; an access code that nobody
    was given is like one. It does no harm until its bearer is granted a hold. An access code lets one fan in, and so
    does an identity where the sale gives it one place. What fans did says little of ways past the queue: only tries
    with a clear answer count as chances, and where nobody forged a ticket, shared a code or an identity, or probed the
    entrance, there is none.
    """
    tally = Tally(evidence, chances=0)
    forged = _forged(evidence)
    tried = [*evidence.probes, *(join for join in evidence.joins.naming("ticket") if join.value.ticket)]
    _probes(evidence, tally)
    _holds(evidence, forged, tally)
    again = _let_in_again(evidence, tally)
    if not tried and evidence.own_platform is not None and "probes" not in evidence.run.capabilities:
        tally.hidden = "the platform does not show: probes; nobody there can try to get past the queue"
    elif not tried and not again:
        tally.note = "nobody tried to get past the queue: there were no bots with forged tickets and no probes"
    else:
        tally.chances = again + sum(not attempt.unknown for attempt in tried)
        tally.undecided = not tally.chances
        tally.note = f"{len(tried) + again} attempts to get past the queue, besides what fans did"
    return tally


def _probes(evidence: Evidence, tally: Tally) -> None:
    for probe in evidence.probes:
        tally.checked += 1
        tally.unknowns += probe.unknown
        if probe.ok:
            seats = ", ".join(probe.value.seats) or "what it asked for"
            past = f"got past the entrance: the answer, {probe.value.status}, is about the seats"
            answer = past if probe.value.status else f"was granted {seats}"
            text = f"{probe.actor} tried it ({probe.key}) and {answer}"
            tally.violated(f"the queue can be bypassed: {probe.key}", during(probe, text))


def _holds(evidence: Evidence, forged: dict[str, Operation[JoinValue]], tally: Tally) -> None:
    """For each granted hold the pass that allowed it, and the place that gave the pass. One violation per fan."""
    joined, entered = evidence.joins.ok.first_invoked_s, evidence.enters.ok.first_invoked_s
    blamed: set[str] = set()
    holds = evidence.askings.ok
    tally.checked += len(holds)
    honest = np.asarray(pc.is_in(holds.actors, value_set=pa.array(joined.keys() - forged.keys(), pa.string())))
    entered_s = np.array([entered.get(fan, math.inf) for fan in holds.actors.to_pylist()])
    for hold in holds.where(~honest | (entered_s > holds.t_end_s)):
        fan = hold.actor
        if fan.startswith(PROBE_ACTOR):  # an operator gave it a pass
            continue
        had_pass = entered.get(fan, math.inf) <= hold.t_end_s
        forgery = forged.get(fan)
        if fan in blamed or (had_pass and fan in joined and not forgery):
            continue
        blamed.add(fan)
        granted = during(hold, f"{fan} was granted {hold.value.words}")
        if forgery:
            what = _what_was_shown(forgery.value)
            shown = during(forgery, f"{fan} joined with {what} and was let in")
            tally.violated(f"{fan} got to a hold with {what}", shown, granted)
        elif not had_pass:
            tally.violated(f"{fan} was granted a hold without a pass", granted)
        else:
            pass_ = next(enter for enter in evidence.enters.ok if enter.actor == fan)
            admitted = during(pass_, f"{fan} was given a pass without ever having joined")
            tally.violated(f"{fan} was admitted without a place in the queue", admitted, granted)


def _what_was_shown(value: JoinValue) -> str:
    return f"an {value.ticket}" if value.ticket == INVENTED_CODE else f"a {value.ticket} ticket"


def _let_in_again(evidence: Evidence, tally: Tally) -> int:
    """Looks at each access code, and each identity with one place, that several fans joined with.

    Returns how many of these fans, beyond the first of each, had a clear answer.
    """
    together = list(_together(evidence))
    entered: dict[str, Operation[EnterValue]] = {}
    for enter in evidence.enters.ok if together else ():
        entered.setdefault(enter.actor, enter)
    tries = 0
    for what, joins in together:
        tries += max(0, sum(not join.unknown for join in joins.values()) - 1)
        let_in = sorted((entered[fan] for fan in joins if fan in entered), key=lambda enter: enter.t_end_s)
        if len(let_in) < 2:
            continue
        moments = []
        for enter in let_in[:2]:
            moments.append(during(joins[enter.actor], f"{enter.actor} joined with {what}"))
            moments.append(during(enter, f"{enter.actor} was let in"))
        tally.violated(f"{len(let_in)} fans were let in with {what}, which lets one in", *moments)
    return tries


def _together(evidence: Evidence) -> Iterator[tuple[str, dict[str, Operation[JoinValue]]]]:
    """(what they show, fan → their first join, however it ended) of fans who show the same."""
    shown: dict[str, dict[str, Operation[JoinValue]]] = {}
    for join in evidence.joins.naming("code"):
        if join.value.code and not join.value.ticket:
            shown.setdefault(f"the access code {join.value.code}", {}).setdefault(join.actor, join)
    if evidence.rules and evidence.rules.places_per_identity:
        for join in evidence.joins.of_identities(evidence.joins.repeated_identities):
            if not join.value.ticket:
                shown.setdefault(f"the identity {join.identity}", {}).setdefault(join.actor, join)
    return ((what, joins) for what, joins in shown.items() if len(joins) > 1)


def _forged(evidence: Evidence) -> dict[str, Operation[JoinValue]]:
    """Who joined with a forged ticket only: an honest place of one's own makes good for it."""
    came: dict[str, Operation[JoinValue]] = {}
    for join in evidence.joins.ok.naming("ticket"):
        if join.value.ticket:
            came.setdefault(join.actor, join)
    honest = {j.actor for j in evidence.joins.ok if not j.value.ticket and j.actor in came} if came else set()
    return {actor: join for actor, join in came.items() if actor not in honest}


NO_QUEUE_BYPASS: Final = specified("no_queue_bypass", no_queue_bypass)
