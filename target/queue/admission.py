"""Lets fans in from the waiting room at the rate of a policy. The bucket that enforces it lives in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from target.queue.rate_policy import OBSERVE_S, ConflictMeter, Feedback, RatePolicy, ShowMeter
from target.queue.signals import ConflictSignal
from target.queue.waiting_room import Admitted, WaitingRoom
from target.runtime.breakers import UnavailableError
from target.runtime.jobs import every
from target.telemetry.metrics import (
    ABANDONED,
    ADMISSION_RATE,
    ADMISSIONS,
    CONFLICT_RATIO,
    NO_SHOWS,
    QUEUE_DEPTH,
    SHOW_RATIO,
)

TICK_S: Final = 0.1
RETURN_GRACE_S: Final = 2.5
"""After an outage: the booking processes' breakers close again within 2 s, and put parked tickets in their places."""


class AdmissionController:
    """The worker's admission loop. After an outage it waits, so that no fan overtakes those who got tickets in the
    outage.
    """

    def __init__(
        self,
        room: WaitingRoom,
        policy: RatePolicy,
        signal: ConflictSignal,
        event: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._room = room
        self._policy = policy
        self._observer = AdmissionObserver(room, policy, signal, event, clock)
        self._depth = QUEUE_DEPTH.labels(event)
        self._abandoned = ABANDONED.labels(event)
        self._no_shows = NO_SHOWS.labels(event)
        self._clock = clock
        self._away = False
        self._resume_s = 0.0

    def hold_back(self) -> None:
        """Admits no fan for the length of the grace, while the queue is rebuilt."""
        self._resume_s = self._clock() + RETURN_GRACE_S

    async def run(self) -> None:
        """Endless."""
        await every(TICK_S, self.step)

    async def step(self) -> None:
        """One tick."""
        try:
            if self._away:
                await self._room.positions(())
                self._away = False
                self.hold_back()
            if self._clock() >= self._resume_s:
                await self._observer.look()
                rate_per_s = self._policy.rate_per_s()
                self._count(await self._room.admit(rate_per_s=rate_per_s, burst=self._policy.burst))
        except UnavailableError:
            self._away = True

    def _count(self, admitted: Admitted) -> None:
        ADMISSIONS.inc(admitted.count)
        self._depth.set(admitted.waiting)
        self._abandoned.inc(admitted.skipped)
        self._no_shows.inc(admitted.no_shows)


class AdmissionObserver:
    """Tells the policy every `OBSERVE_S` what admitted fans did, and shows it as metrics."""

    def __init__(
        self, room: WaitingRoom, policy: RatePolicy, signal: ConflictSignal, event: str, clock: Callable[[], float]
    ) -> None:
        self._room = room
        self._policy = policy
        self._signal = signal
        self._clock = clock
        self._looked_s = clock()
        self._conflicts = ConflictMeter()
        self._shows = ShowMeter()
        self._rate = ADMISSION_RATE.labels(event)
        self._rate.set(policy.rate_per_s())
        self._conflict_ratio = CONFLICT_RATIO.labels(event)
        self._show_ratio = SHOW_RATIO.labels(event)
        self._show_ratio.set(1.0)

    async def look(self) -> None:
        """Observes, unless it is too early. Raises `UnavailableError`."""
        now_s = self._clock()
        after_s = now_s - self._looked_s
        if after_s < OBSERVE_S:
            return
        self._looked_s = now_s
        counts, turnout = await asyncio.gather(self._signal.read(), self._room.turnout())
        conflict_ratio = self._conflicts.update(counts.holds, counts.conflicts, after_s=after_s)
        show_ratio = self._shows.update(turnout.entered, turnout.missed, now_s=now_s)
        self._policy.observe(Feedback(conflict_ratio, show_ratio))
        self._rate.set(self._policy.rate_per_s())
        self._conflict_ratio.set(conflict_ratio or 0.0)
        self._show_ratio.set(show_ratio)
