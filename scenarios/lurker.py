"""A lurker: opens the queue page with everybody else, perhaps loads it again, and leaves without joining."""

from __future__ import annotations

from typing import ClassVar

from harness.platform import Person
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import LurkerPlan, lurker_plan
from scenarios.fan import GAVE_UP, LEFT, FanUser, OutOfPatienceError, Visit


class LurkerUser(FanUser):
    """One lurker: load without a place in the queue."""

    kind: ClassVar[str] = "lurker"

    def prepare(self, user: int) -> None:
        """As a fan does."""
        worker_context = self.worker_context
        self.lurks = lurker_plan(worker_context.scenario.load.journey, worker_context.seed, user)
        person = Person(user=user, kind=self.kind, actor=self.lurks.actor, identity=self.lurks.identity)
        self.session = worker_context.platform.fan_session(person)

    def journey(self, t0: ReleaseInstant) -> str:
        """From T0 to the last look at the page."""
        assert self.session is not None  # noqa: S101 - armed before it is released
        look = Look(self.session, self.lurks, t0.monotonic_s, self.at)
        try:
            return look.lurk(self.lurks)
        except OutOfPatienceError:
            return GAVE_UP


class Look(Visit):
    """One lurker's way: the queue page and nothing else."""

    def lurk(self, plan: LurkerPlan) -> str:
        """Load the page, then again as often as planned. Raises `OutOfPatienceError`."""
        self._at("queue_page")
        self._insist(self._session.queue_page, self._pace.at_once())
        for _ in range(plan.reloads):
            self._insist(self._session.queue_page, self._think())
        return LEFT
