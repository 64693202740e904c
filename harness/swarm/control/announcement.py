"""T0: announced ahead, taken by every worker, moved when one is too slow, or nobody is released."""

from __future__ import annotations

import logging
import time
from time import monotonic
from typing import Final

import gevent

from harness.errors import NoVerdict
from harness.swarm.control.workforce import POLL_S, Workforce
from harness.swarm.messaging import messages
from harness.swarm.messaging.protocol import NOTICE_S

_LEAD_S: Final = 1.0  # and taken by every worker so long ahead, or it is moved
_TRIES: Final = 4

_log = logging.getLogger(__name__)


def announce(workforce: Workforce) -> messages.ReleaseAt:
    """A T0 that every worker has taken. Raises NoVerdict when one never takes it, or dies before it."""
    late: set[int] = set()
    for _ in range(_TRIES):
        t0_s = monotonic() + NOTICE_S
        release = messages.ReleaseAt(t0_master_s=t0_s, t0_wall_s=time.time() + t0_s - monotonic())
        workforce.say_all(release)
        late = _without(workforce, release)
        if not late:
            return release
        note = f"T0 was moved: {workforce.names(late)} had not taken it {_LEAD_S:g} s ahead"
        workforce.notes.append(note)
        _log.warning("%s", note)
    workforce.say_all(messages.Withdraw())
    raise NoVerdict(f"nobody was released: {workforce.names(late)} never took T0", hint="see the swarm's log")


def _without(workforce: Workforce, release: messages.ReleaseAt) -> set[int]:
    """The workers that have not taken this T0 in time. Raises NoVerdict when one has died before it."""
    answers = workforce.t0s_taken
    took: set[int] = set()
    while (waiting := workforce.alive - took) and monotonic() < release.t0_master_s - _LEAD_S:
        gevent.sleep(POLL_S)
        if died := workforce.notice_deaths():
            raise NoVerdict(f"nobody was released: {workforce.names(died)} died before T0", hint="see the swarm's log")
        took = {n for n in waiting | took if n in answers and answers[n].t0_master_s == release.t0_master_s}
    for number in took:
        facts, answer = workforce.facts[number], answers[number]
        facts.clock_offset_s, facts.clock_uncertainty_s = answer.clock_offset_s, answer.clock_uncertainty_s
    return waiting
