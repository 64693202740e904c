"""Holds armed users until T0, then lets them all go at once.

At T0 one greenlet writes every prepared first request straight to its socket, in a tight loop that nothing interrupts,
and stamps each send; only then do the users wake to read their answers. Waking a thousand greenlets takes tens of
milliseconds; the sends are over long before.
"""

from __future__ import annotations

import gc
from collections import Counter
from time import monotonic
from typing import Final

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from harness.platform import PreparedRequest
from harness.swarm.recording.clock import ReleaseInstant

SPIN_S: Final = 0.005  # the last stretch is waited for without sleeping: a sleep may end a timer tick late
_ARM_AT_ONCE: Final = 128


class Barrier:
    """One worker's users, between spawning and release."""

    def __init__(self) -> None:
        self.expected = 0
        self.armed = 0
        self.failures: Counter[str] = Counter()
        self.t0: ReleaseInstant | None = None
        self.arming = BoundedSemaphore(_ARM_AT_ONCE)
        self.complete = Event()
        self._released = Event()
        self._assigned = Event()
        self._next_user: dict[str, int] = {}
        self._prepared: list[PreparedRequest] = []

    def assign(self, first_user: dict[str, int], expected: int) -> None:
        """From now on users may know who they are."""
        self._next_user = dict(first_user)
        self.expected = expected
        self._assigned.set()
        self._note_progress()

    def user_of(self, kind: str) -> int:
        """The next user index of this kind; waits until the master has assigned them."""
        self._assigned.wait()
        user = self._next_user[kind]
        self._next_user[kind] = user + 1
        return user

    def arm(self, prepared: PreparedRequest | None) -> None:
        """One more user is ready; a prepared request is sent at T0."""
        self.armed += 1
        if prepared is not None:
            self._prepared.append(prepared)
        self._note_progress()

    def fail(self, why: str) -> None:
        """One user could not be armed."""
        self.failures[why] += 1
        self._note_progress()

    def wait(self) -> ReleaseInstant:
        """Until released."""
        self._released.wait()
        assert self.t0 is not None  # noqa: S101 - set before the event is
        return self.t0

    def release_at(self, t0: ReleaseInstant) -> None:
        """Wait for T0, send all prepared requests, wake all users; not if T0 was moved or withdrawn meanwhile."""
        self.t0 = t0
        gc.collect()
        gc.freeze()
        gevent.sleep(max(0.0, t0.monotonic_s - SPIN_S - monotonic()))
        if self.t0 is not t0:
            return
        gc.disable()
        while monotonic() < t0.monotonic_s:
            pass
        fire(self._prepared)
        self._prepared = []
        self._released.set()
        gc.enable()

    def withdraw(self) -> None:
        """The T0 that was announced is not to come. After it, this changes nothing."""
        if not self._released.is_set():
            self.t0 = None

    @property
    def still_arming(self) -> int:
        """Users who are neither armed nor have failed to."""
        return self.expected - self.armed - self.failures.total()

    def _note_progress(self) -> None:
        if self._assigned.is_set() and self.armed + self.failures.total() >= self.expected:
            self.complete.set()


def fire(requests: list[PreparedRequest]) -> None:
    """Send every request, one after another, without giving way. One that cannot be sent whole, or whose connection
    the platform has given up meanwhile, is left to its user."""
    sent: list[tuple[PreparedRequest, float]] = []
    cut: list[PreparedRequest] = []
    for prepared in requests:
        if prepared.is_stale():
            continue
        start_s = monotonic()
        try:
            given = prepared.send_some(prepared.data)
        except OSError:
            continue
        if given == len(prepared.data):
            sent.append((prepared, start_s))
        else:
            cut.append(prepared)
    for prepared, start_s in sent:
        prepared.was_sent(start_s)
    for prepared in cut:
        prepared.abandon()
