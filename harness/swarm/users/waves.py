"""Lets those who come after T0 go, each wave at one instant, in the way that the barrier does it for T0."""

from __future__ import annotations

from time import monotonic

import gevent
from gevent.event import Event

from harness.platform import PreparedRequest
from harness.swarm.users.barrier import SPIN_S, fire


class Waves:
    """The waves of one worker process, by the instant on its monotonic clock that each is due at."""

    def __init__(self) -> None:
        self._waves: dict[float, _Wave] = {}

    def wait(self, due_s: float, prepared: PreparedRequest | None) -> None:
        """Until `due_s`; the prepared request is sent then, with all others of that wave. One that comes too late is
        left to its user."""
        if due_s not in self._waves:
            self._waves[due_s] = _Wave(due_s)
        self._waves[due_s].wait(prepared)


class _Wave:
    def __init__(self, due_s: float) -> None:
        self._due_s = due_s
        self._prepared: list[PreparedRequest] = []
        self._gone = Event()
        gevent.spawn(self._go)

    def wait(self, prepared: PreparedRequest | None) -> None:
        if prepared is not None and not self._gone.is_set():
            self._prepared.append(prepared)
        self._gone.wait()

    def _go(self) -> None:
        gevent.sleep(max(0.0, self._due_s - SPIN_S - monotonic()))
        while monotonic() < self._due_s:
            pass
        fire(self._prepared)
        self._prepared = []
        self._gone.set()
