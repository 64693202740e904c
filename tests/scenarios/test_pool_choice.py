"""Which pool a fan goes for, and what a platform offers them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.platform import Capability, Pool, Stock
from harness.scenario import Journey, Load, OnSale, OwnPlatform, Rules, Scenario
from harness.swarm.users.plan import Dice, fan_plan
from scenarios.offer import REFERENCE, Offer
from scenarios.pool_choice import choose_pool

FLOOR, STAND = Pool(name="floor", free=10), Pool(name="stand", free=90)
BOTH = Stock(pools=(FLOOR, STAND))


def own(**rules: object) -> Scenario:
    platform = OwnPlatform(adapter="a.py:A", url="http://127.0.0.1:1", rules=Rules(**rules))  # type: ignore[arg-type]
    return Scenario(name="own", description="", duration_s=9.0, platform=platform)


def test_who_aims_for_the_hot_pool_takes_the_first_that_has_enough() -> None:
    assert choose_pool(BOTH, 4, Dice((0.99,)), aims_hot=True) == FLOOR
    assert choose_pool(BOTH, 11, Dice((0.0,)), aims_hot=True) == STAND


def test_the_others_spread_by_what_is_left() -> None:
    chosen = [choose_pool(BOTH, 2, Dice((roll / 100,)), aims_hot=False) for roll in range(100)]
    assert (chosen.count(FLOOR), chosen.count(STAND)) == (10, 90)


def test_a_pool_that_was_just_refused_comes_last() -> None:
    assert choose_pool(BOTH, 2, Dice((0.0,)), aims_hot=True, avoid={"floor"}) == STAND
    assert choose_pool(Stock(pools=(FLOOR,)), 2, Dice((0.0,)), aims_hot=True, avoid={"floor"}) == FLOOR


@given(free=st.one_of(st.none(), st.integers(-3, 9)), quantity=st.integers(1, 8), roll=st.floats(0, 0.999))
def test_nobody_asks_a_pool_that_shows_too_few(free: int | None, quantity: int, roll: float) -> None:
    found = choose_pool(Stock(pools=(Pool(name="a", free=free),)), quantity, Dice((roll,)), aims_hot=False)
    assert (found is not None) == (free is None or free >= quantity)


def test_the_steps_follow_from_the_capabilities() -> None:
    offer = Offer.of({Capability.STOCK}, own())
    assert (offer.has_queue, offer.has_seats, offer.takes_back, offer.shows_orders) == (False, False, False, False)
    assert all(offer.sells_standing_to(fan_plan(Journey(), 1, index)) for index in range(20))


@pytest.mark.parametrize(("ratio", "expected"), [(0.0, 0), (1.0, 200)])
def test_where_both_are_sold_a_share_goes_for_pools(ratio: float, expected: int) -> None:
    offer = Offer(has_stock=True, standing_ratio=ratio)
    assert sum(offer.sells_standing_to(fan_plan(Journey(), 1, index)) for index in range(200)) == expected
    half = Offer(has_stock=True, standing_ratio=0.5)
    assert 60 < sum(half.sells_standing_to(fan_plan(Journey(), 1, index)) for index in range(200)) < 140


def test_elsewhere_each_fan_is_themselves_and_goes_over_the_limit_alone() -> None:
    plan = next(one for one in (fan_plan(Journey(), 1, index) for index in range(100)) if one.goes_over_limit)
    offer = Offer.of({Capability.STOCK}, own(purchase_limit=4))
    assert (offer.identity_of(plan), offer.first_wish(plan)) == (plan.actor, 5)
    assert Offer.of({Capability.STOCK}, own(purchase_limit=6, order_limit=3)).first_wish(plan) == 4
    assert (REFERENCE.identity_of(plan), REFERENCE.first_wish(plan)) == (plan.identity, plan.party_size)


@pytest.mark.parametrize(("limit", "wishes"), [(0, [4, 4]), (4, [4, 1]), (6, [6, 1]), (40, [16, 1])])
def test_a_pair_on_the_reference_system_wants_one_more_than_they_may_have(limit: int, wishes: list[int]) -> None:
    scenario = Scenario(
        name="s", description="d", seed=1, duration_s=9.0, on_sale=OnSale(purchase_limit=limit), load=Load(fans=9)
    )
    offer = Offer.of({Capability.SEATS, Capability.QUEUE}, scenario)
    pair = [fan_plan(Journey(), 1, index) for index in (0, 1)]
    assert pair[0].identity == pair[1].identity == offer.identity_of(pair[1])
    assert [offer.first_wish(plan) for plan in pair] == wishes
