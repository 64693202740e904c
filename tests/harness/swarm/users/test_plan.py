"""Same seed, same journeys."""

from __future__ import annotations

import math
import statistics
from collections import Counter

import msgspec
import pytest

from harness.scenario import Journey, Load, Tactic
from harness.swarm.users.plan import Dice, all_plans, bot_plan, digest, fan_plan

JOURNEY = Journey()


def test_the_same_seed_gives_the_same_journeys_and_another_seed_others() -> None:
    load = Load(fans=50, spectators=5)
    assert digest(all_plans(load, 7)) == digest(all_plans(load, 7))
    assert digest(all_plans(load, 7)) != digest(all_plans(load, 8))


def test_joins_are_spread_only_where_that_is_asked_for() -> None:
    assert {fan_plan(Journey(), 7, index).join_pause_s for index in range(200)} == {0.0}
    spread = [fan_plan(Journey(join_pause_s=0.2), 7, index) for index in range(2000)]
    assert statistics.median(plan.join_pause_s for plan in spread) == pytest.approx(0.2, rel=0.1)
    assert len({plan.join_pause_s for plan in spread}) > 1000
    assert [plan.party_size for plan in spread] == [fan_plan(Journey(), 7, index).party_size for index in range(2000)]


def test_the_digest_is_stable_across_releases_and_machines() -> None:
    """Pinned: when this changes, old seeds no longer mean what they meant, and CHANGELOG must say so."""
    assert digest(all_plans(Load(fans=3, spectators=1), 1)).startswith("a08f531c40ac990c")


def test_a_plan_depends_on_seed_and_index_alone() -> None:
    alone = fan_plan(JOURNEY, 7, 41)
    assert [fan_plan(JOURNEY, 7, index) for index in range(50)][41] == alone
    assert fan_plan(JOURNEY, 7, 42) != alone


def test_the_crowd_is_as_the_scenario_says() -> None:
    plans = [fan_plan(JOURNEY, 1, index) for index in range(4000)]
    sizes = Counter(plan.party_size for plan in plans)
    assert sizes[2] / 4000 == pytest.approx(0.5, abs=0.03)
    assert sum(plan.abandons for plan in plans) / 4000 == pytest.approx(0.05, abs=0.015)
    assert sum(plan.releases for plan in plans) / 4000 == pytest.approx(0.03, abs=0.015)
    assert not any(plan.abandons and plan.releases for plan in plans)
    thinks = sorted(think for plan in plans for think in plan.thinks_s)
    assert thinks[len(thinks) // 2] == pytest.approx(0.3, rel=0.05)
    assert len({plan.actor for plan in plans}) == 4000


def test_a_few_drop_their_stream_and_that_changes_nothing_else() -> None:
    often = Journey(dropped_stream_ratio=0.5)
    plans = [fan_plan(often, 1, index) for index in range(2000)]
    assert sum(plan.drops_stream for plan in plans) / 2000 == pytest.approx(0.5, abs=0.05)
    never = [fan_plan(Journey(dropped_stream_ratio=0.0), 1, index) for index in range(2000)]
    assert [msgspec.structs.replace(plan, drops_stream=False) for plan in plans] == never


def test_nobody_thinks_when_thinking_is_off() -> None:
    assert set(fan_plan(Journey(think_s=0.0), 1, 1).thinks_s) == {0.0}


def test_patience_is_spread_around_its_median_and_changes_nothing_else() -> None:
    impatient = Journey(patience_s=20.0, patience_sigma=0.6)
    plans = [fan_plan(impatient, 1, index) for index in range(2000)]
    waits_s = sorted(plan.patience_s for plan in plans)
    assert waits_s[1000] == pytest.approx(20.0, rel=0.08)
    assert waits_s[1680] / waits_s[1000] == pytest.approx(math.exp(0.6), rel=0.1)  # one standard deviation up
    assert plans[41] == fan_plan(impatient, 1, 41)
    calm = fan_plan(Journey(patience_s=20.0), 1, 41)
    assert calm.patience_s == 20.0
    assert msgspec.structs.replace(plans[41], patience_s=20.0) == calm


def test_dice_begin_anew_when_they_are_used_up() -> None:
    dice = Dice((0.1, 0.2))
    assert [dice.roll() for _ in range(5)] == [0.1, 0.2, 0.1, 0.2, 0.1]


def test_bots_take_up_their_tactics_as_the_weights_say() -> None:
    load = Load(bots=400, tactics={Tactic.SHARE_DEVICE: 3.0, Tactic.OVER_LIMIT: 1.0, Tactic.REPLAY_TICKET: 0.0})
    plans = [bot_plan(load, 1, index) for index in range(load.bots)]
    tactics = Counter(plan.tactic for plan in plans)
    assert set(tactics) == {Tactic.SHARE_DEVICE, Tactic.OVER_LIMIT}
    assert tactics[Tactic.SHARE_DEVICE] / 400 == pytest.approx(0.75, abs=0.07)
    sharing = [plan for plan in plans if plan.tactic is Tactic.SHARE_DEVICE]
    assert len({plan.device for plan in sharing}) == 1
    assert len({plan.identity for plan in sharing}) == len(sharing)
    buying = [plan for plan in plans if plan.tactic is Tactic.OVER_LIMIT]
    assert len({plan.identity for plan in buying}) == 3
    assert len({plan.device for plan in buying}) == len(buying)
    assert {plan.party_size for plan in plans} == {4}


def test_bots_do_not_change_what_fans_do() -> None:
    fans = [plan for plan in all_plans(Load(fans=5, bots=3, spectators=2), 7) if plan.actor.startswith("fan")]
    assert fans == list(all_plans(Load(fans=5, spectators=0), 7))
    assert digest(all_plans(Load(fans=5, bots=3), 7)) != digest(all_plans(Load(fans=5, bots=4), 7))


def test_pairs_of_fans_are_one_identity_and_want_the_largest_party_each() -> None:
    plans = [fan_plan(JOURNEY, 7, index) for index in range(120)]
    households = Counter(plan.identity for plan in plans if plan.identity.startswith("household-"))
    assert list(households.values()) == [2, 2, 2]
    shared = [plan for plan in plans if plan.identity in households]
    assert all(plan.party_size == 4 and not (plan.abandons or plan.releases or plan.card_declined) for plan in shared)


def test_a_few_fans_post_their_payment_again() -> None:
    plans = [fan_plan(JOURNEY, 7, index) for index in range(120)]
    again = [plan for plan in plans if plan.repeats_payment]
    assert len(again) == 6
    assert not any(plan.abandons or plan.releases for plan in again)


def test_without_the_probes_nobody_asks_for_too_much_or_pays_twice() -> None:
    plain = Journey(over_limit_ratio=0.0, repeat_payment_ratio=0.0)
    plans = [fan_plan(plain, 7, index) for index in range(400)]
    assert len({plan.identity for plan in plans}) == 400
    assert not any(plan.repeats_payment for plan in plans)


@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5, 1.0])
def test_as_many_probes_as_were_asked_for(ratio: float) -> None:
    plans = [fan_plan(Journey(over_limit_ratio=0.0, repeat_payment_ratio=ratio), 7, index) for index in range(1000)]
    assert sum(plan.repeats_payment for plan in plans) == 1000 * ratio
    plans = [fan_plan(Journey(over_limit_ratio=ratio), 7, index) for index in range(1000)]
    assert sum(plan.identity.startswith("household-") for plan in plans) == 1000 * ratio
    assert Counter(plan.wants_one_more for plan in plans if plan.goes_over_limit) == {
        True: 500 * ratio,
        False: 500 * ratio,
    }


def test_who_shares_a_code_or_comes_on_a_second_device_is_the_second_of_a_pair() -> None:
    plain = [fan_plan(JOURNEY, 7, index) for index in range(120)]
    journey = Journey(shared_code_ratio=0.1, second_device_ratio=0.2)
    plans = [fan_plan(journey, 7, index) for index in range(120)]
    assert [plan.code_no for plan in plain] == list(range(120))
    sharing = [(plan.code_no, index) for index, plan in enumerate(plans) if plan.code_no != index]
    assert sharing == [(index - 1, index) for index in range(19, 120, 20)]
    twice = Counter(plan.identity for plan in plans if not plan.goes_over_limit)
    assert sum(count == 2 for count in twice.values()) == 12
    assert [plan.party_size for plan in plans] == [plan.party_size for plan in plain]


def test_impatient_fans_load_the_page_again_and_some_have_tabs() -> None:
    assert {fan_plan(JOURNEY, 7, index).page_reloads for index in range(200)} == {()}
    journey = Journey(reload_ratio=0.5, reload_after_s=2.0, lost_ticket_ratio=0.25, tabs_ratio=0.3)
    plans = [fan_plan(journey, 7, index) for index in range(2000)]
    reloads = [reload for plan in plans for reload in plan.page_reloads]
    assert sum(bool(plan.page_reloads) for plan in plans) / 2000 == pytest.approx(0.5, abs=0.04)
    assert statistics.median(reload.after_s for reload in reloads) == pytest.approx(2.0, rel=0.05)
    assert sum(reload.forgets for reload in reloads) / len(reloads) == pytest.approx(0.25, abs=0.02)
    assert [sum(bool(plan.page_reloads) for plan in plans[at : at + 10]) for at in range(0, 2000, 10)] == [5] * 200
    assert all(sum(plan.page_reloads[at].forgets for at in range(4)) == 1 for plan in plans if plan.page_reloads)
    tabs = Counter(plan.tabs for plan in plans)
    assert set(tabs) == {0, 1, 2, 3}
    assert 1 - tabs[0] / 2000 == pytest.approx(0.3, abs=0.04)


def test_codes_of_bots_are_their_own_a_fans_or_none() -> None:
    load = Load(fans=50, bots=90, tactics={Tactic.GUESS_CODE: 1, Tactic.SHARE_CODE: 1, Tactic.OVER_LIMIT: 1})
    for index in range(90):
        plan = bot_plan(load, 7, index)
        codes = {Tactic.GUESS_CODE: None, Tactic.SHARE_CODE: index % 50, Tactic.OVER_LIMIT: 50 + index}
        assert plan.code_no == codes[plan.tactic]


def test_some_need_accessible_seats_others_misuse_them_and_that_changes_nothing_else() -> None:
    crowd = Journey(accessible_ratio=0.1, accessible_misuse_ratio=0.3)
    plans = [fan_plan(crowd, 7, index) for index in range(2000)]
    singles = [plan for plan in plans if not plan.goes_over_limit]
    assert sum(plan.needs_accessible for plan in singles) / len(singles) == pytest.approx(0.1, abs=0.02)
    others = [plan for plan in singles if not plan.needs_accessible]
    assert sum(plan.misuses_accessible for plan in others) / len(others) == pytest.approx(0.3, abs=0.03)
    assert not any(plan.needs_accessible and plan.misuses_accessible for plan in plans)
    plain = [fan_plan(Journey(), 7, index) for index in range(2000)]
    assert [msgspec.structs.replace(plan, needs_accessible=False, misuses_accessible=False) for plan in plans] == plain
    assert any(bot_plan(Load(bots=9, journey=crowd), 7, index).misuses_accessible for index in range(9))
