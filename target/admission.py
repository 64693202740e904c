"""Lets fans in from the waiting room at the rate of a policy. The bucket that enforces it lives in Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from target.breakers import UnavailableError
from target.observability import ADMISSIONS, QUEUE_DEPTH
from target.waiting_room import WaitingRoom

TICK_S: Final = 0.1
RETURN_GRACE_S: Final = 2.5
"""After an outage: the booking processes' breakers close again within 2 s, and put parked tickets in their places."""


class RatePolicy(Protocol):
    """How fast fans may be let in."""

    @property
    def burst(self) -> int:
        """Most at once, after a quiet time."""

    def rate_per_s(self) -> float:
        """The rate from now on."""


class FixedRate:
    """The same rate all the time."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self.burst = burst

    def rate_per_s(self) -> float:
        """As given."""
        return self._rate_per_s


class AdmissionController:
    """The worker's admission loop. After an outage it waits, so that nobody passes the tickets given meanwhile."""

    def __init__(
        self, room: WaitingRoom, policy: RatePolicy, event: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._room = room
        self._policy = policy
        self._depth = QUEUE_DEPTH.labels(event)
        self._clock = clock
        self._away = False
        self._resume_s = 0.0

    def hold_back(self) -> None:
        """Admits nobody for the length of the grace: the queue is being put together again."""
        self._resume_s = self._clock() + RETURN_GRACE_S

    async def run(self) -> None:
        """Endless."""
        while True:
            await self.step()
            await asyncio.sleep(TICK_S)

    async def step(self) -> None:
        """One tick."""
        try:
            if self._away:
                await self._room.positions(())
                self._away = False
                self.hold_back()
            if self._clock() >= self._resume_s:
                admitted = await self._room.admit(rate_per_s=self._policy.rate_per_s(), burst=self._policy.burst)
                ADMISSIONS.inc(admitted.count)
                self._depth.set(admitted.waiting)
        except UnavailableError:
            self._away = True
