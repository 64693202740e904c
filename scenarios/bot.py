"""A bot: joins as its tactic says, never hesitates, and buys as often as it is let."""

from __future__ import annotations

from time import monotonic
from typing import ClassVar, Final

from harness.platform import Person, Venue
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import bot_plan
from harness.swarm.users.user import DONE
from scenarios.fan import GAVE_UP, FanUser, OutOfPatienceError, Visit

PURCHASES_MAX: Final = 3  # in one session


class BotUser(FanUser):
    """One bot, from the queue page to as many tickets as it can get."""

    kind: ClassVar[str] = "bot"

    def prepare(self, user: int) -> None:
        """As a fan does."""
        worker_context = self.worker_context
        self.plan = plan = bot_plan(worker_context.scenario.load, worker_context.seed, user)
        code = self.code_of(plan)
        person = Person(
            user=user, kind=self.kind, actor=plan.actor, identity=plan.identity, device=plan.device, code=code
        )
        self.session = worker_context.platform.bot_session(person, plan.tactic)

    def journey(self, t0: ReleaseInstant) -> str:
        """From T0 to the last purchase that succeeds, or to being turned away."""
        assert self.session is not None  # noqa: S101 - armed before it is released
        raid = Raid(self.session, self.plan, t0.monotonic_s, self.at)
        try:
            return raid.run()
        except OutOfPatienceError:
            return DONE if raid.purchases else GAVE_UP


class Raid(Visit):
    """One bot's way through the platform. `purchases`: how many were paid for."""

    purchases = 0

    def run(self) -> str:
        """The whole raid. Raises `OutOfPatienceError` where it ends, most often at the purchase limit."""
        self._at("queue_page")
        self._insist(self._session.queue_page, self._pace.at_once())
        self._queue()
        self._leaves_s = monotonic() + self._plan.patience_s
        venue = self._look_around()
        while self.purchases < PURCHASES_MAX:
            self._purchase(venue)
        return DONE

    def _purchase(self, venue: Venue) -> None:
        if self._pay(self._hold(venue)) != DONE:
            raise OutOfPatienceError
        self.purchases += 1
