"""Who goes for accessible seats: fans who declare the need, and some who do not until they are refused."""

from __future__ import annotations

import json
from time import monotonic

import msgspec
import pytest

from harness.adapter.kit import Basket, Refused
from harness.platform import SeatMap, Section, Venue
from harness.scenario import Journey
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import fan_plan
from tests.harness.adapter.running.test_session import person, raised
from tests.harness.adapter.shop import LittleShop, Shop, Visitor

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from scenarios.fan import LEFT, Visit
    from scenarios.offer import Offer

CALM = Journey(think_s=0.0, party_sizes={1: 1.0}, over_limit_ratio=0.0, repeat_payment_ratio=0.0)
VENUE = Venue(sections=(Section(name="A", rows=(("A-1", "A-2", "A-3", "A-4"),), accessible=(("A-3", "A-4"),)),))
KEPT = frozenset({"A-3", "A-4"})


class Guest(Visitor):
    """Of a shop whose seat map tells accessible seats, and which refuses them to who declares no need."""

    def venue(self) -> Venue:
        self.browser.get("/sale")
        return VENUE

    def seats(self) -> SeatMap:
        self.browser.get("/sale")
        return SeatMap(states={"A": "0000"}, stale=False)

    def reserve_seats(self, seats: tuple[str, ...]) -> Basket:
        self.browser.get("/sale")
        if KEPT & set(seats) and not self.person.needs_accessible:
            raise Refused("accessible")
        return Basket(basket_id="b", seats=seats)


class Hall(LittleShop):
    capabilities = frozenset({"seats", "accessible"})
    shopper = Guest


def holds(*, party: int, needs: bool = False, misuses: bool = False) -> list[tuple[str, list[str], bool]]:
    """(error, seats asked for, whether the need was declared) of each request of one fan."""
    plan = msgspec.structs.replace(
        fan_plan(CALM, 1, 0), party_size=party, abandons=True, needs_accessible=needs, misuses_accessible=misuses
    )
    with raised(Shop(), Hall) as (platform, recorder):
        session = platform.fan_session(msgspec.structs.replace(person(), needs_accessible=needs))
        assert Visit(session, plan, monotonic(), lambda _: None, offer=Offer(has_queue=False)).run() == LEFT
        session.close()
        rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    asked = [(row["error"], json.loads(row["value"])) for row in rows if row["function"] == "hold"]
    return [(error, value["seats"], value.get("declared", False)) for error, value in asked]


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "swordfish")


@pytest.mark.parametrize(("party", "seats"), [(1, ["A-3"]), (2, ["A-3", "A-4"]), (4, ["A-3", "A-4"])])
def test_who_needs_one_says_so_and_takes_a_wheelchair_place_and_its_companion_seat(
    party: int, seats: list[str]
) -> None:
    assert holds(party=party, needs=True) == [("", seats, True)]


@pytest.mark.parametrize(("party", "first"), [(1, ["A-4"]), (2, ["A-3", "A-4"])])
def test_who_misuses_them_is_refused_and_goes_on_with_other_seats(party: int, first: list[str]) -> None:
    refused, granted = holds(party=party, misuses=True)
    assert refused == ("accessible", first, False)
    assert (granted[0], len(granted[1]), KEPT.isdisjoint(granted[1])) == ("", party, True)


def test_others_leave_them_alone() -> None:
    ((error, seats, declared),) = holds(party=2)
    assert (error, seats, declared) == ("", ["A-1", "A-2"], False)
