"""Checks `no_queue_bypass`: every fan who gets seats was admitted through the queue."""

from __future__ import annotations

import math
from typing import Final

from harness.audit.history import Evidence
from harness.audit.operations import JoinValue, Operation
from harness.audit.spec import specified
from harness.audit.tally import Tally, during
from harness.record.schema import PROBE_ACTOR


def no_queue_bypass(evidence: Evidence) -> Tally:
    """No hold without a pass, no pass without a place, and no forged ticket and no probe ever gets as far as a hold.

    A forged ticket is one that its bearer was not given: replayed, shared or tampered with. It does no harm until
    its bearer is granted a hold. What fans did says little of ways past the queue: only tries with a clear answer count
    as chances, and where nobody forged a ticket or probed the entrance there is none.
    """
    tally = Tally(evidence, chances=0)
    forged = _forged(evidence)
    tried = [*evidence.probes, *(join for join in evidence.joins.naming("ticket") if join.value.ticket)]
    _probes(evidence, tally)
    _holds(evidence, forged, tally)
    if not tried and evidence.own_platform is not None and "probes" not in evidence.run.capabilities:
        tally.hidden = "the platform does not show: probes; nobody there can try to get past the queue"
    elif not tried:
        tally.note = "nobody tried to get past the queue: there were no bots with forged tickets and no probes"
    else:
        tally.chances = sum(not attempt.unknown for attempt in tried)
        tally.undecided = not tally.chances
        tally.note = f"{len(tried)} attempts to get past the queue, besides what fans did"
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
    for hold in evidence.askings.ok:
        tally.checked += 1
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
            shown = during(forgery, f"{fan} joined with a {forgery.value.ticket} ticket and was let in")
            tally.violated(f"{fan} got to a hold with a {forgery.value.ticket} ticket", shown, granted)
        elif not had_pass:
            tally.violated(f"{fan} was granted a hold without a pass", granted)
        else:
            pass_ = next(enter for enter in evidence.enters.ok if enter.actor == fan)
            admitted = during(pass_, f"{fan} was given a pass without ever having joined")
            tally.violated(f"{fan} was admitted without a place in the queue", admitted, granted)


def _forged(evidence: Evidence) -> dict[str, Operation[JoinValue]]:
    """Who joined with a forged ticket only: an honest place of one's own makes good for it."""
    came: dict[str, Operation[JoinValue]] = {}
    for join in evidence.joins.ok.naming("ticket"):
        if join.value.ticket:
            came.setdefault(join.actor, join)
    honest = {j.actor for j in evidence.joins.ok if not j.value.ticket and j.actor in came} if came else set()
    return {actor: join for actor, join in came.items() if actor not in honest}


NO_QUEUE_BYPASS: Final = specified("no_queue_bypass", no_queue_bypass)
