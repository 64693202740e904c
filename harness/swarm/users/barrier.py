"""Holds armed users until T0, then lets them all go at once.

At T0 one greenlet writes every prepared first shot straight to its socket, in a tight loop that nothing interrupts, and
stamps each send; only then do the users wake to read their answers. Waking a thousand greenlets takes tens of
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
        self._shots: list[PreparedRequest] = []

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

    def arm(self, shot: PreparedRequest | None) -> None:
        """One more user is ready; with a shot, it is fired at T0."""
        self.armed += 1
        if shot is not None:
            self._shots.append(shot)
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
        """Wait for T0, fire all shots, wake all users; unless another T0 has been announced meanwhile, or none."""
        self.t0 = t0
        gc.collect()
        gc.freeze()
        gevent.sleep(max(0.0, t0.monotonic_s - SPIN_S - monotonic()))
        if self.t0 is not t0:
            return
        gc.disable()
        while monotonic() < t0.monotonic_s:
            pass
        fire(self._shots)
        self._shots = []
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


def fire(shots: list[PreparedRequest]) -> None:
    """Send every shot, one after another, without giving way. One that cannot be sent whole is left to its user."""
    sent: list[tuple[PreparedRequest, float]] = []
    cut: list[PreparedRequest] = []
    for shot in shots:
        start_s = monotonic()
        try:
            given = shot.send_some(shot.data)
        except OSError:
            continue
        if given == len(shot.data):
            sent.append((shot, start_s))
        else:
            cut.append(shot)
    for shot, start_s in sent:
        shot.was_sent(start_s)
    for shot in cut:
        shot.abandon()
