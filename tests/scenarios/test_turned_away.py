"""What a fan does whom the queue turns away: leave, leave without a lot, or take a new place."""

from __future__ import annotations

from time import monotonic

import msgspec
import pytest

from harness.adapter.errors import Admitted, Refused
from harness.record.schema import Outcome
from harness.scenario import Journey, OwnPlatform, Scenario
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import Reload, fan_plan
from tests.harness.adapter.running.test_session import person, raised
from tests.harness.adapter.running.test_waiting import Queueing, shop_of
from tests.harness.adapter.shop import Shop

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from scenarios.fan import DONE, LEFT, NotDrawnError, OutOfPatienceError, Visit
    from scenarios.offer import Offer

CALM = Journey(think_s=0.0, party_sizes={1: 1.0}, patience_s=20.0, declined_card_ratio=0.0, over_limit_ratio=0.0)


class Refusing(Queueing):
    """The first looks at the place are answered as `said`; then the fan is called in."""

    said: tuple[str, ...] = ()
    poll_s = 0.01

    def join(self) -> int | None:
        self.browser.get("/sale")
        return None

    def place(self) -> int | None:
        self.looks = getattr(self, "looks", 0) + 1
        if self.looks <= len(self.said):
            raise Refused(self.said[self.looks - 1])
        raise Admitted


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "swordfish")


def visited(*said: str, reloads: tuple[Reload, ...] = (), base: type[Queueing] = Refusing) -> tuple[str, list[str]]:
    """How the visit ended, and the verbs that were operations."""
    kind = shop_of(type("Said", (base,), {"said": said}))
    own = OwnPlatform(adapter="a.py:A", url="http://127.0.0.1:1")
    scenario = Scenario(name="own", description="", duration_s=60.0, platform=own)
    with raised(Shop(), kind) as (platform, recorder):
        session = platform.fan_session(person())
        plan = msgspec.structs.replace(fan_plan(CALM, 1, 0), page_reloads=reloads)
        visit = Visit(session, plan, monotonic(), lambda _: None, offer=Offer.of(kind.capabilities, scenario))
        try:
            ended = visit.run()
        except OutOfPatienceError as gone:
            ended = type(gone).__name__
        session.close()
        rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    return ended, [row["function"] for row in rows if row["outcome"] == Outcome.OK]


def test_a_fan_who_is_not_drawn_leaves_at_once() -> None:
    assert visited("not_drawn") == (NotDrawnError.__name__, ["join"])


def test_a_fan_who_is_refused_for_good_leaves_at_once() -> None:
    assert visited("closed") == (OutOfPatienceError.__name__, ["join"])


def test_a_fan_whose_place_has_expired_takes_a_new_one() -> None:
    ended, done = visited("expired")
    assert ended in (DONE, LEFT)
    assert done[:3] == ["join", "join", "enter"]


def test_a_fan_who_loads_the_page_again_joins_again_where_the_ticket_is_lost() -> None:
    """Each of the first looks is news, at which the fan has lost patience."""

    class Slow(Queueing):
        poll_s = 0.01

        def place(self) -> int | None:
            self.looks = getattr(self, "looks", 0) + 1
            if self.looks > 4:
                raise Admitted
            return 5 - self.looks

    ended, done = visited(reloads=(Reload(0.0, True), Reload(0.0, False)), base=Slow)
    assert ended in (DONE, LEFT)
    assert done[:3] == ["join", "join", "enter"]
