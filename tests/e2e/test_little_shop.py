"""A platform that is not the reference system: the honest little shop is READY, and each planted bug is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.record.verdict import Decision, Status, Verdict
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.e2e.shop_scenario import rehearsed, traced_scenario

pytestmark = pytest.mark.e2e

SHOWN = {
    "no_oversell", "bought_as_told", "no_unasked_purchase", "no_leaked_stock", "no_lost_order", "charged_as_shown",
    "money_reconciles", "one_key_one_purchase", "purchase_limit", "queue_order",
}  # fmt: skip
NAMED_SEATS = {"no_double_sell", "seat_conservation", "no_leaked_hold"}


@pytest.fixture(scope="module")
def honest(room: Path) -> Rehearsed:
    with traced_scenario(room) as file:
        return rehearsals.rehearse(room, str(file), "--set", "load.trace_ratio=0.5")


def statuses(verdict: Verdict) -> dict[str, Status]:
    return {result.name: result.status for result in verdict.invariants}


def test_the_honest_shop_is_ready(honest: Rehearsed) -> None:
    verdict = rehearsals.verdict(honest.run)
    assert verdict.verdict is Decision.READY, verdict.reason
    assert honest.done.returncode == 0


def test_every_invariant_that_it_can_show_held_and_could_have_broken(honest: Rehearsed) -> None:
    verdict = rehearsals.verdict(honest.run)
    found = statuses(verdict)
    assert {name: found.get(name) for name in SHOWN} == dict.fromkeys(SHOWN, Status.HELD)
    chances = {result.name: result.chances for result in verdict.invariants}
    assert {name for name in SHOWN if not chances[name]} == set()


def test_what_needs_named_seats_is_not_held_but_not_observable(honest: Rehearsed) -> None:
    found = statuses(rehearsals.verdict(honest.run))
    assert {found[name] for name in NAMED_SEATS if name in found} <= {Status.NOT_OBSERVABLE}


def test_the_slow_provider_was_seen_and_healed(honest: Rehearsed) -> None:
    (fault,) = rehearsals.verdict(honest.run).faults
    assert (fault.experiment, fault.component) == ("latency-payments", "payments")
    assert fault.proven
    assert fault.healed_s is not None


def test_the_spans_that_the_shop_sends_say_where_the_time_of_each_step_went(honest: Rehearsed) -> None:
    verdict = rehearsals.verdict(honest.run)
    assert {"box-office"} == {hop.name for step in verdict.hops for hop in step.hops} - {"client and network"}
    assert {fall.why for fall in verdict.waterfalls} >= {"slowest", "fault"}
    shown = [bar.hop for fall in verdict.waterfalls for bar in fall.bars]
    assert shown.count("box-office") >= len(verdict.waterfalls) - 1
    traces = rehearsals.document(honest.run).traces
    assert traces is not None
    assert 0 < traces.kept <= traces.traced < 120
    assert traces.spans_lost == 0


@pytest.mark.parametrize(
    ("plant", "names"),
    [
        ("oversell", {"no_oversell"}),
        ("double_charge", {"money_reconciles", "one_key_one_purchase", "no_unasked_purchase"}),
        ("lost_order", {"no_lost_order"}),
        ("partial", {"bought_as_told"}),
        ("leaked_basket", {"no_leaked_stock"}),
        ("wrong_price", {"charged_as_shown", "bought_as_told"}),
    ],
)
def test_a_planted_bug_is_found_and_named(tmp_path: Path, plant: str, names: set[str]) -> None:
    run = rehearsed(tmp_path, "--no-chaos", plant=plant)
    verdict = rehearsals.verdict(run.run)
    assert run.done.returncode == 4, run.done.stderr
    assert verdict.verdict is Decision.NOT_READY
    violated = {name for name, status in statuses(verdict).items() if status is Status.VIOLATED}
    assert violated & names, violated
    assert all(result.violations for result in verdict.invariants if result.status is Status.VIOLATED)
