"""The base class of all users: when a user arrives, how it waits for its release, and in which step it is counted.

A journey subclasses `RehearsalUser` and says how to arm and what to do once released. It is a Locust user, spawned by
Locust's dispatch. The users of one worker process share a `WorkerContext`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from time import monotonic
from typing import ClassVar, Final, Protocol

import gevent
from locust import User, task
from locust.exception import StopUser

from harness.platform import Call, Platform, PreparedRequest
from harness.scenario import Scenario
from harness.swarm.client.http import CallFailed
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.arrivals import AT_T0, Arrival, arrival_of
from harness.swarm.users.barrier import Barrier, fire
from harness.swarm.users.crashes import CrashLog
from harness.swarm.users.waves import Waves

ARMING: Final = "arming"
ARMED: Final = "armed"
DONE: Final = "done"
_ARM_TRIES: Final = 3
_ARM_PAUSE_S: Final = 0.3
_ARM_AHEAD_S: Final = 2.0  # whoever comes after T0 connects so long before

_log = logging.getLogger(__name__)


class Released(Protocol):
    """A user who was let go."""

    @property
    def arrival(self) -> Arrival:
        """When it was due."""

    @property
    def first_send_s(self) -> float | None:
        """When it first sent; null: it has not."""


class WorkerContext:
    """What the users of one worker process share."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        platform: Platform,
        recorder: Recorder,
        barrier: Barrier,
        secrets: Sequence[str] = (),
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.platform = platform
        self.recorder = recorder
        self.barrier = barrier
        self.users_by_step: Counter[str] = Counter()
        self.crashes = CrashLog(secrets)
        self.extra_headers: dict[str, str] = {}  # for users who know no adapter
        self.released: list[Released] = []
        self.waves = Waves()

    def first_sends_s(self) -> tuple[tuple[float, ...], int]:
        """Of the released users: when each first sent, relative to the instant they were due at (T0, or their arrival
        after it), and how many follow what was open before."""
        t0 = self.barrier.t0
        if t0 is None:
            return (), 0
        t0_s = t0.monotonic_s
        sends = [
            user.first_send_s - (t0_s + user.arrival.after_s) for user in self.released if user.first_send_s is not None
        ]
        return tuple(late_s for late_s in sends if late_s >= 0.0), sum(late_s < 0.0 for late_s in sends)


class RehearsalUser(User):
    """One user of a rehearsal. Subclasses set `kind` and write `arm` and `journey`."""

    abstract = True
    kind: ClassVar[str]
    worker_context: ClassVar[WorkerContext]
    arrives: ClassVar[bool] = True  # when load.arrivals says; else it is there at T0
    arrival: Arrival = AT_T0
    follows_to_the_end: ClassVar[bool] = False  # its journey has no end of its own: the run's end does not cut it

    def prepare(self, user: int) -> None:
        """What can be done long before it arrives, and would otherwise be done in the crowd: choosing what it will do.
        It is called once, and must not connect."""

    def arm(self, user: int) -> PreparedRequest | None:
        """Connect. Returns what to send at T0, or null when there is nothing to send. Raises `CallFailed`."""
        raise NotImplementedError

    def journey(self, t0: ReleaseInstant) -> str:
        """Everything after the release. Returns how it ended, for the count of users by step."""
        raise NotImplementedError

    def leave(self) -> None:
        """Drop the connections."""

    @property
    def first_send_s(self) -> float | None:
        """When this user first gave bytes to a socket; null: it has not."""
        raise NotImplementedError

    @task
    def rehearse(self) -> None:
        """The one task: arm, wait, go, and never again."""
        self._step = ""
        try:
            self._arm_and_go()
        except Exception as error:  # noqa: BLE001 - whatever it is
            # Locust would log it and run the task again; a journey runs once, and its crash is a finding about us.
            self.worker_context.crashes.note(error, kind=self.kind, step=self._step)
            _log.exception("a journey of a %s crashed", self.kind)
            self.at("crashed")
        finally:
            self.leave()
        raise StopUser

    def at(self, step: str) -> None:
        """Count this user under that step from now on."""
        counts = self.worker_context.users_by_step
        if self._step:
            counts[self._step] -= 1
        counts[step] += 1
        self._step = step

    @property
    def step(self) -> str:
        """Where this user is on their journey."""
        return self._step

    @property
    def is_unfinished(self) -> bool:
        """Released, and neither done nor given up."""
        return not self.follows_to_the_end and not getattr(self, "_ended", False)

    def _arm_and_go(self) -> None:
        barrier = self.worker_context.barrier
        self.at(ARMING)
        user = barrier.user_of(self.kind)
        self.arrival = arrival_of(self.worker_context.scenario, user) if self.arrives else AT_T0
        self.prepare(user)
        if self.arrival.after_s:
            barrier.arm(None)
        elif not self._armed(user):
            self._ended = True
            self.at("not armed")
            return
        self.at(ARMED)
        t0 = barrier.wait()
        if self.arrival.after_s:
            t0 = self._arrive_later(user, t0)
        self.worker_context.released.append(self)
        ended = self.journey(t0)
        self._ended = True
        self.at(ended)

    def _arrive_later(self, user: int, t0: ReleaseInstant) -> ReleaseInstant:
        """Until this user's own instant, connected shortly before it; with others of the same wave, all at once."""
        due = ReleaseInstant(t0.monotonic_s + self.arrival.after_s, t0.wall_s + self.arrival.after_s)
        gevent.sleep(max(0.0, due.monotonic_s - _ARM_AHEAD_S - monotonic()))
        with self.worker_context.barrier.arming:
            try:
                prepared = self.arm(user)
            except CallFailed:
                prepared = None  # nobody waits for this user: they try again at their instant
        if self.arrival.together:
            self.worker_context.waves.wait(due.monotonic_s, prepared)
        else:
            gevent.sleep(max(0.0, due.monotonic_s - monotonic()))
            fire([prepared] if prepared else [])
        return due

    def _armed(self, user: int) -> bool:
        barrier = self.worker_context.barrier
        for left in range(_ARM_TRIES - 1, -1, -1):
            try:
                with barrier.arming:
                    prepared = self.arm(user)
            except CallFailed as failure:
                if not left:
                    barrier.fail(f"{self.kind}: {failure.error}")
                    return False
                gevent.sleep(_ARM_PAUSE_S)
            else:
                barrier.arm(prepared)
                return True
        return False


class Pace:
    """A user's own time: when they meant to take each step.

    A closed user: the next deliberate step is meant for when the one before was complete, plus a pause. What makes it
    late after that (a busy generator, a slow connect) counts in the response time, because it is measured from here.
    """

    def __init__(self, start_s: float) -> None:
        self._complete_s = start_s

    def completed(self, t_end_s: float) -> None:
        """The last step was complete at that instant."""
        self._complete_s = t_end_s

    def at_once(self) -> Call:
        """The next step follows without a pause."""
        return _call(self._complete_s)

    def after(self, pause_s: float) -> Call:
        """The next step after a pause, which is slept here."""
        intended_s = self._complete_s + pause_s
        gevent.sleep(max(0.0, intended_s - monotonic()))
        return _call(intended_s)


def _call(intended_s: float) -> Call:
    """Whatever came between the intention and now is the generator's own doing."""
    return Call(t_intended_s=intended_s, late_s=max(0.0, monotonic() - intended_s))
