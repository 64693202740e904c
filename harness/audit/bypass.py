"""Ways around the queue: whoever gets seats has waited for them."""

from __future__ import annotations

from harness.audit.history import Evidence, JoinValue, Operation
from harness.audit.tally import Tally, during


def no_queue_bypass(evidence: Evidence) -> Tally:
    """No hold without a pass, no pass without a place, and no forged ticket and no probe ever gets as far as a hold.

    A forged ticket is one that its bearer was not given: replayed, shared or tampered with. It does no harm until
    its bearer is granted a hold. Where nobody forged a ticket or probed the entrance there is nothing to see.
    """
    tally = Tally(evidence)
    forged = _forged(evidence)
    tried = [*evidence.probes, *(join for join in evidence.joins if join.value.ticket)]
    _probes(evidence, tally)
    _holds(evidence, forged, tally)
    if not tried:
        tally.hidden = "nobody tried to get past the queue: there were no bots with forged tickets and no probes"
    else:
        tally.undecided = all(attempt.unknown for attempt in tried)
        tally.note = f"{len(tried)} attempts to get past the queue, besides what fans did"
    return tally


def _probes(evidence: Evidence, tally: Tally) -> None:
    for probe in evidence.probes:
        tally.checked += 1
        tally.unknowns += probe.unknown
        if probe.ok:
            seats = ", ".join(probe.value.seats) or "what it asked for"
            text = f"{probe.actor} tried it ({probe.key}) and was granted {seats}"
            tally.violated(f"the queue can be bypassed: {probe.key}", during(probe, text))


def _holds(evidence: Evidence, forged: dict[str, Operation[JoinValue]], tally: Tally) -> None:
    """For each granted hold the pass that allowed it, and the place that gave the pass. One violation per fan."""
    joined = {join.actor: join for join in reversed(evidence.joins) if join.ok}
    entered = {enter.actor: enter for enter in reversed(evidence.enters) if enter.ok}
    blamed: set[str] = set()
    for hold in evidence.holds:
        if not hold.ok:
            continue
        tally.checked += 1
        fan = hold.actor
        pass_, place, forgery = entered.get(fan), joined.get(fan), forged.get(fan)
        if fan in blamed or (pass_ and place and not forgery and pass_.t_invoke_s <= hold.t_end_s):
            continue
        blamed.add(fan)
        granted = during(hold, f"{fan} was granted {', '.join(hold.value.seats)}")
        if forgery:
            shown = during(forgery, f"{fan} joined with a {forgery.value.ticket} ticket and was let in")
            tally.violated(f"{fan} got to a hold with a {forgery.value.ticket} ticket", shown, granted)
        elif pass_ is None or pass_.t_invoke_s > hold.t_end_s:
            tally.violated(f"{fan} was granted a hold without a pass", granted)
        else:
            admitted = during(pass_, f"{fan} was given a pass without ever having joined")
            tally.violated(f"{fan} was admitted without a place in the queue", admitted, granted)


def _forged(evidence: Evidence) -> dict[str, Operation[JoinValue]]:
    """Who joined with a forged ticket only: an honest place of one's own makes good for it."""
    honest = {join.actor for join in evidence.joins if join.ok and not join.value.ticket}
    return {j.actor: j for j in reversed(evidence.joins) if j.ok and j.value.ticket and j.actor not in honest}
