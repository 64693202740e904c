"""What a staircase proposes: arithmetic on what was measured, and nothing beyond it."""

from __future__ import annotations

import pytest

from harness.record.verdict import Decision
from harness.runs.proposals import Proposal, proposals
from harness.runs.staircase import Buying, Staircase, Step, Used


def step(rate: float, *used: Used, good: bool = True, buying: Buying | None = None) -> Step:
    return Step(
        rate_per_s=rate,
        run_id=f"at-{rate:g}",
        verdict=Decision.READY,
        let_in_per_s=rate - 0.5,
        tickets_per_fan=2.0,
        busiest="",
        why_not=() if good else ("hold was slow",),
        used=used,
        buying=buying,
    )


def pool(busy: float, whole: float = 16.0) -> Used:
    return Used(name="pool_booking_primary0", title="Connections to the primary", busy=busy, whole=whole)


def cpu(name: str, busy: float) -> Used:
    return Used(name=f"cpu_{name}", title=f"CPU of {name}", busy=busy, whole=1.0)


def proposed(*steps: Step) -> dict[str, Proposal]:
    return {one.what: one for one in proposals(Staircase(steps=steps))}


def test_the_highest_rate_that_was_carried_is_proposed_and_no_more() -> None:
    found = proposed(step(10.0), step(40.0), step(80.0, good=False))["admission_rate"]
    assert found.value == 40.0
    assert found.said == (
        "Let in at most 40 fans per second: so many were carried, with 39.5/s let in; 80 fans per second were not."
    )
    assert "no higher rate was tried" in proposed(step(40.0))["admission_rate"].said


def test_where_nothing_is_carried_nothing_is_proposed() -> None:
    assert proposed(step(10.0, pool(16.0), good=False)) == {}
    assert proposed() == {}


def test_a_hold_lasts_as_long_as_nearly_all_fans_needed_at_the_carried_rate() -> None:
    buying = Buying(p99_s=3.2, ttl_s=10.0, paid=512, holds=520)
    found = proposed(step(40.0, buying=buying), step(80.0, good=False))["hold_ttl"]
    assert found.value == 4.0
    assert "99 % of 512 paid holds were paid within 3.2 s at 40 fans per second" in found.said
    assert "8 of 520 holds were never paid" in found.said


def test_a_hold_time_that_may_have_cut_fans_off_proposes_none() -> None:
    found = proposed(step(40.0, buying=Buying(p99_s=9.1, ttl_s=10.0, paid=512, holds=512)))["hold_ttl"]
    assert found.value is None
    assert "try longer ones" in found.said


def test_without_holds_nothing_is_said_of_them() -> None:
    assert "hold_ttl" not in proposed(step(40.0))


def test_a_pool_is_sized_by_the_most_that_was_in_use_so_that_it_is_not_full() -> None:
    found = proposed(step(40.0, pool(4.0)), step(80.0, pool(6.2), good=False))["pool"]
    assert found.value == 8.0  # 6.2 / 0.85
    assert "6.2 of 16 were in use at 80 fans per second; 8 are enough for that" in found.said
    assert "nothing is known of higher rates" in found.said


def test_a_full_pool_is_too_small_and_nobody_says_by_how_much() -> None:
    found = proposed(step(40.0, pool(1.1, 2.0)), step(80.0, pool(2.0, 2.0), good=False))["pool"]
    assert found.value is None
    assert "2 of 2 were in use at 80 fans per second. How many more it takes was not seen; try 4" in found.said


def test_processes_of_one_role_are_workers_together() -> None:
    busy = (cpu("booking", 0.5), cpu("booking-2", 0.4), cpu("feed-1", 0.1))
    found = proposed(step(40.0, *busy), step(80.0, good=False))["workers"]
    assert found.value == 2.0  # 0.9 / 0.85
    assert found.said.startswith("booking, 2 processes, in cores: 0.9 of 2 were in use at 40 fans per second")


@pytest.mark.parametrize(("cores", "said"), [(1.95, True), (1.0, False)])
def test_more_workers_are_not_proposed_where_the_machine_is_full(cores: float, said: bool) -> None:
    machine = Used(name="machine", title="CPU of this machine", busy=cores, whole=2.0)
    full = (cpu("booking", 0.97), machine)
    told = [
        one.said for one in proposals(Staircase(steps=(step(40.0, cpu("booking", 0.5)), step(80.0, *full, good=False))))
    ]
    assert any("try 2 and measure again" in one for one in told)
    assert any("More workers on this machine would not help" in one for one in told) is said
