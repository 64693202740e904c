"""Probes a process itself, by the system or by the engine of its container; and its address, if any."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
import psutil

from chaos.injectors.stack_control import Part
from chaos.proof.probes import Reading
from harness.errors import EnvironmentProblem
from harness.processes.identity import Identity

if TYPE_CHECKING:
    from chaos.injectors.docker import Docker


class ProcessPlace(msgspec.Struct, frozen=True):
    """The process to probe."""

    part: Part


class _Sight(msgspec.Struct, frozen=True):
    """What was seen of a process. `run`: identifies this run of it; "" when there is no process."""

    run: str
    stopped: bool = False


class ProcessProbe:
    """Probes for one thread; `close` it there. It remembers the process that it saw first.

    `ask`: probes the part's address; null when no answer is needed.
    """

    def __init__(self, place: ProcessPlace, ask: Callable[[], Reading] | None, *, restarts: bool) -> None:
        self._part = place.part
        self._ask = ask
        self._restarts = restarts
        self._first = ""
        self._engine: Docker | None = None

    def read(self) -> Reading:
        """One probe: ok, refused (no process), hung (it is stopped), or the result at its address. restarted: it is not
        the first process any more, and answers; only when asked for.
        """
        started_s = time.monotonic()
        state = self._state()
        return Reading(state, round((time.monotonic() - started_s) * 1000, 3))

    def close(self) -> None:
        """Close the connection to the engine."""
        if self._engine is not None:
            self._engine.close()

    def _state(self) -> str:
        try:
            sight = self._look()
        except EnvironmentProblem:
            return "refused"
        if not sight.run:
            return "refused"
        self._first = self._first or sight.run
        if sight.stopped:
            return "hung"
        if self._ask is not None and (answer := self._ask()).state != "ok":
            return answer.state
        return "restarted" if self._restarts and sight.run != self._first else "ok"

    def _look(self) -> _Sight:
        """The present state. Raises EnvironmentProblem when it cannot be seen."""
        if self._part.container:
            return self._look_at_container()
        found = Identity.of(self._part.pid) if self._part.outside is None else self._part.outside.find()
        if found is None:
            return _Sight("")
        try:
            stopped = psutil.Process(found.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return _Sight("")
        return _Sight(f"{found.pid} {found.started}", stopped)

    def _look_at_container(self) -> _Sight:
        from chaos.injectors.docker import Docker  # slow, and most parts are no containers

        self._engine = self._engine or Docker()
        state = self._engine.state(self._part.container)
        return _Sight(f"{state.id} {state.started}" if state.running else "", state.paused)
