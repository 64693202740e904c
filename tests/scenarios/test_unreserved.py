"""A fan of a shop whose baskets keep nothing: told at the till that the last one went, they look for something else."""

from __future__ import annotations

from time import monotonic

import pytest

from harness.registry.capabilities import Capability
from harness.scenario import Journey, OwnPlatform, Scenario
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.plan import fan_plan
from tests.harness.adapter.running.test_session import person, raised
from tests.harness.adapter.shop import LittleShop, Shop, Visitor

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from scenarios.fan import DONE, SoldOutError, Visit
    from scenarios.offer import Offer

CALM = Journey(
    think_s=0.0, party_sizes={2: 1.0}, patience_s=20.0, declined_card_ratio=0.0, over_limit_ratio=0.0,
    abandon_hold_ratio=0.0, release_hold_ratio=0.0, returns_ratio=0.0,
)  # fmt: skip


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "swordfish")


def visited(shop: Shop, gone_meanwhile: int) -> tuple[str, list[tuple[str, str]], list[str]]:
    """How the visit ended, its operations with their errors, and its steps. So many go before the fan first pays."""

    class Late(Visitor):
        def buy(self, basket, key, *, declined):
            if gone_meanwhile and len(shop.orders) == 0:
                shop.orders.append({"id": 1, "email": "x", "quantity": gone_meanwhile, "state": "confirmed"})
            return super().buy(basket, key, declined=declined)

    class Unreserved(LittleShop):
        capabilities = LittleShop.capabilities | {Capability.NO_HOLD}
        shopper = Late

    own = OwnPlatform(adapter="a.py:A", url="http://127.0.0.1:1")
    scenario = Scenario(name="own", description="", duration_s=60.0, platform=own)
    steps: list[str] = []
    with raised(shop, Unreserved) as (platform, recorder):
        session = platform.fan_session(person())
        offer = Offer.of(Unreserved.capabilities, scenario)
        try:
            ended = Visit(session, fan_plan(CALM, 1, 0), monotonic(), steps.append, offer=offer).run()
        except SoldOutError:
            ended = SoldOutError.__name__
        session.close()
        rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    told = [(row["function"], row["error"]) for row in rows if row["function"] in ("choose", "hold", "pay")]
    return ended, told, steps


def test_a_fan_chooses_and_buys_and_holds_nothing() -> None:
    ended, told, steps = visited(Shop(keeps=False), 0)
    assert (ended, told) == (DONE, [("choose", ""), ("pay", "")])
    assert "choose" in steps
    assert "hold" not in steps


def test_a_fan_who_comes_too_late_at_the_till_chooses_again() -> None:
    shop = Shop(stock=3, keeps=False)
    ended, told, _ = visited(shop, gone_meanwhile=3)
    assert (ended, told) == (SoldOutError.__name__, [("choose", ""), ("pay", "conflict")])
