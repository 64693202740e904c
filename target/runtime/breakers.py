"""Circuit breakers: one per dependency, so that an outage costs its callers microseconds and not a time-out each.

`BreakerCore` is the state machine: it takes instants and says whether a call may pass. `GuardedCalls` is the shell
around it: time-outs, metrics and an active probe, so that a breaker opens and closes without traffic too. It decides
nothing about fallbacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final, TypeVar

from target.runtime import fallbacks
from target.runtime.patience import Patience
from target.telemetry import tracing
from target.telemetry.metrics import BREAKER_STATE

T = TypeVar("T")

PROBE_PERIOD_S: Final = 0.5
PROBE_TIMEOUT_S: Final = 0.45  # three failed probes fit in two seconds


class BreakerState(StrEnum):
    """closed: calls pass · open: calls are refused · half_open: one trial call at a time passes."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


GAUGE_VALUES: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}


class UnavailableError(Exception):
    """A dependency could not be used. `maybe_done`: the call had been sent, so it may have taken effect."""

    def __init__(self, dependency: str, reason: str, *, maybe_done: bool) -> None:
        super().__init__(f"{dependency}: {reason}")
        self.dependency = dependency
        self.reason = reason
        self.maybe_done = maybe_done


class BreakerCore:
    """The state machine of one breaker. Every method takes `now_s`, an instant of one monotonic clock."""

    def __init__(self, *, failures_to_open: int = 3, open_s: float = 1.0, successes_to_close: int = 2) -> None:
        self.state = BreakerState.CLOSED
        self._failures_to_open = failures_to_open
        self._open_s = open_s
        self._successes_to_close = successes_to_close
        self._failures = 0
        self._successes = 0
        self._opened_at_s = 0.0
        self._trial_running = False

    def admits(self, now_s: float) -> bool:
        """Whether a call may pass now. In half-open the answer `True` hands out the one trial."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN and now_s - self._opened_at_s >= self._open_s:
            self.state = BreakerState.HALF_OPEN
            self._successes = 0
            self._trial_running = False
        if self.state is BreakerState.OPEN or self._trial_running:
            return False
        self._trial_running = True
        return True

    def succeed(self) -> None:
        """A call was answered. Answers to calls that were sent before the breaker opened do not count."""
        if self.state is BreakerState.CLOSED:
            self._failures = 0
        elif self.state is BreakerState.HALF_OPEN:
            self._trial_running = False
            self._successes += 1
            if self._successes >= self._successes_to_close:
                self.state = BreakerState.CLOSED
                self._failures = 0

    def fail(self, now_s: float) -> None:
        """A call failed or timed out."""
        if self.state is BreakerState.CLOSED:
            self._failures += 1
            if self._failures >= self._failures_to_open:
                self._open(now_s)
        elif self.state is BreakerState.HALF_OPEN:
            self._open(now_s)

    def abandon(self) -> None:
        """The caller cancelled a call: this neither opens nor closes the breaker, but frees the trial."""
        self._trial_running = False

    def _open(self, now_s: float) -> None:
        self.state = BreakerState.OPEN
        self._opened_at_s = now_s
        self._trial_running = False


class GuardedCalls:
    """Calls to one dependency: each has a time-out, and none is sent while the breaker is open.

    `failures`: the exceptions that count against the dependency; all others pass through and count as an answer.
    """

    def __init__(
        self,
        dependency: str,
        *,
        failures: tuple[type[BaseException], ...],
        timeout_s: float,
        shard: str = "",
        core: BreakerCore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dependency = dependency
        self.timeout_s = timeout_s
        self._failures: tuple[type[BaseException], ...] = (*failures, TimeoutError)
        self._core = core or BreakerCore()
        self._clock = clock
        self._shard = shard
        self._gauge = BREAKER_STATE.labels(dependency, shard)
        self._show(BreakerState.CLOSED)

    @property
    def state(self) -> BreakerState:
        """The state of the breaker now."""
        return self._core.state

    async def call(self, make: Callable[[], Awaitable[T]], *, timeout_s: float | None = None, operation: str = "") -> T:
        """Awaits `make()` within the time-out. Raises `UnavailableError`, or the dependency's own error.

        `operation`: the name of the call in its span.
        """
        with tracing.span(f"{self.dependency} {operation}" if operation else self.dependency, "client"):
            return await self._call(make, timeout_s)

    async def _call(self, make: Callable[[], Awaitable[T]], timeout_s: float | None) -> T:
        if not self._core.admits(self._clock()):
            raise UnavailableError(self.dependency, "breaker open", maybe_done=False)
        try:
            async with Patience(timeout_s or self.timeout_s):
                result = await make()
        except asyncio.CancelledError:
            self._core.abandon()
            raise
        except self._failures as error:
            self._core.fail(self._clock())
            raise UnavailableError(self.dependency, str(error) or type(error).__name__, maybe_done=True) from error
        except Exception:
            self._core.succeed()
            raise
        else:
            self._core.succeed()
            return result
        finally:
            if self._core.state is not self._shown:
                self._show(self._core.state)

    def _show(self, state: BreakerState) -> None:
        self._shown = state
        self._gauge.set(GAUGE_VALUES[state])
        fallbacks.switch(self.dependency, self._shard, in_force=state is not BreakerState.CLOSED)

    async def probe_forever(self, ping: Callable[[], Awaitable[object]]) -> None:
        """Pings the dependency at a fixed rate for ever; the breaker learns from it like from any call.

        An error goes to the breaker and does not end the probing.
        """
        loop = asyncio.get_running_loop()
        next_s = loop.time()
        while True:
            with contextlib.suppress(Exception):
                await self.call(ping, timeout_s=PROBE_TIMEOUT_S)
            next_s = max(next_s + PROBE_PERIOD_S, loop.time())
            await asyncio.sleep(next_s - loop.time())
