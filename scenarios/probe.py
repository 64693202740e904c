"""A probe: looks at the seats at a steady pace, whatever the fans do, and buys nothing.

Its steady pace gives an expectation about the seat map samples even when few fans look at the map during a fault. A
probe does not queue: an operator gives it a pass. It tries to hold a seat only while holds are expected to be refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Final

import gevent
from msgspec.structs import replace

from harness.platform import Call, Capability, FanSession, LimitsPasses, Person, Platform, SeatMap, Venue
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.barrier import Barrier
from harness.swarm.users.plan import Dice, ProbePlan
from scenarios.intruder import Intruder
from scenarios.late_payer import LatePayer
from scenarios.newcomer import Newcomer
from scenarios.returner import Returner
from scenarios.seat_choice import least_wanted
from scenarios.stranger import Stranger

_Other = Intruder | LatePayer | Newcomer | Returner | Stranger
PERIOD_S: Final = 1.0
_INSIDE_S: Final = (0.5, 0.25)
"""So long after a fault was to begin, and before it is to end, a hold is surely refused."""


class Probe:
    """See `harness.swarm.users.probes.Probe`."""

    def __init__(self, platform: Platform, barrier: Barrier, plan: ProbePlan) -> None:
        self.step = "arming"
        self._platform = platform
        self._barrier = barrier
        self._plan = plan
        self._dice = Dice(plan.rolls)
        self._refused_s = [(from_s + _INSIDE_S[0], to_s - _INSIDE_S[1]) for from_s, to_s in plan.refused_holds_s]

    def go(self) -> None:
        """Connect, wait for the release, look for ever. Without an operator's access there is nothing to do."""
        actor = self._plan.actor
        person = Person(user=-1 - self._plan.number, kind="probe", actor=actor, identity=actor)
        session = self._platform.probe_session(person)
        if session is None:
            return
        others: list[_Other] = []
        going: list[gevent.Greenlet] = []
        try:
            others += self._others(person)
            venue = session.venue(Call.now()).value
            t0 = self._barrier.wait()
            going += [gevent.spawn(other.go, venue) for other in others if venue]
            self._look_on(session, venue, t0)
        finally:
            session.close()
            gevent.killall(going)
            for other in others:
                other.close()

    def _others(self, person: Person) -> Iterator[_Other]:
        """Who does beside the probe what fans do not."""
        plan, platform = self._plan, self._platform
        if plan.pays_late:
            yield LatePayer(platform, person)
        if plan.meddles:
            yield Stranger(platform, person)
            yield Intruder(platform, replace(person, actor=f"{person.actor}-intruder"))
        if plan.gives_back and isinstance(platform, LimitsPasses):
            actor = f"{person.actor}-back"
            yield Returner(platform, replace(person, actor=actor, identity=actor), plan.gives_back)
        if plan.comes_anew and Capability.FEED in platform.capabilities:
            actor = f"{person.actor}-new"
            yield Newcomer(platform, replace(person, actor=actor, identity=actor))

    def _look_on(self, session: FanSession, venue: Venue | None, t0: ReleaseInstant) -> None:
        """Each look has its instant: one that comes late because the one before was slow counts as late."""
        due_s = t0.monotonic_s + self._plan.phase_ratio * PERIOD_S
        while True:
            ready_s = max(due_s, monotonic())
            gevent.sleep(max(0.0, ready_s - monotonic()))
            self.step = "seat_map"
            seat_map = session.seat_map(Call(t_intended_s=due_s, late_s=max(0.0, monotonic() - ready_s))).value
            self.step = "section_counts"
            session.section_counts(Call.now())
            now_s = monotonic() - t0.monotonic_s
            if venue and seat_map and any(from_s <= now_s <= to_s for from_s, to_s in self._refused_s):
                self._try_to_hold(session, venue, seat_map)
            due_s += PERIOD_S

    def _try_to_hold(self, session: FanSession, venue: Venue, seat_map: SeatMap) -> None:
        """One of the free seats that are wanted least; given back at once, should it be granted."""
        if seats := least_wanted(venue, seat_map, 1):
            self.step = "hold"
            chosen = seats[int(len(seats) * self._dice.roll())]
            held = session.hold(Call.now(), seats=chosen)
            if held.value is not None:
                session.release(Call(t_intended_s=held.t_end_s), hold=held.value)
