"""A spectator: follows the seat feed from before T0 to the end, and comes back when it drops."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar, Final, NoReturn

import gevent

from harness.platform import Call, Person, SpectatorSession
from harness.record.schema import Outcome
from harness.swarm.client.http import CallFailed
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import Dice, spectator_plan
from harness.swarm.users.user import RehearsalUser

_BACK_OFF_S: Final = (0.1, 5.0)
_ARM_PATIENCE_S: Final = 60.0  # with a feed that lets its clients in a few at a time


class SpectatorUser(RehearsalUser):
    """One open feed."""

    kind: ClassVar[str] = "spectator"
    arrives: ClassVar[bool] = False
    follows_to_the_end: ClassVar[bool] = True
    session: SpectatorSession | None = None

    @property
    def first_send_s(self) -> float | None:
        """When the feed was first connected."""
        return self.session.first_send_s if self.session else None

    def arm(self, user: int) -> None:
        """Open the feed; it is followed from the release on, what came meanwhile included."""
        plan = spectator_plan(self.worker_context.seed, user)
        self._dice = Dice(plan.rolls)
        person = Person(user=user, kind=self.kind, actor=plan.actor, identity=plan.identity)
        self.session = session = self.worker_context.platform.spectator_session(person)
        start_s = monotonic()
        answer = session.connect(Call(t_intended_s=start_s))
        while answer.outcome is not Outcome.OK:
            if answer.retry_after_s is None or monotonic() - start_s > _ARM_PATIENCE_S:
                raise CallFailed(answer.error)
            gevent.sleep(answer.retry_after_s)
            answer = session.connect(Call(t_intended_s=start_s))

    def journey(self, t0: ReleaseInstant) -> NoReturn:  # noqa: ARG002 - the feed is open already
        """Follow; after a drop come back, from the last change seen, when the feed says or after a jittered pause."""
        assert self.session is not None  # noqa: S101 - armed before it is released
        while True:
            self.at("feed")
            self.session.follow()
            self.at("reconnecting")
            self._come_back(self.session, monotonic())

    def leave(self) -> None:
        """Close the feed."""
        if self.session is not None:
            self.session.close()

    def _come_back(self, session: SpectatorSession, lost_s: float) -> None:
        attempt = 0
        shortest_s, longest_s = _BACK_OFF_S
        wish_s: float | None = None
        while True:
            attempt += 1
            jitter = 0.5 + self._dice.roll()
            if wish_s is None:
                gevent.sleep(min(longest_s, shortest_s * 2 ** (attempt - 1)) * jitter)
            else:
                gevent.sleep(max(wish_s, shortest_s * jitter))
            answer = session.connect(Call(t_intended_s=lost_s, attempt=attempt))
            if answer.outcome is Outcome.OK:
                return
            wish_s = answer.retry_after_s
