"""How the rate of admission follows the share of conflicts, and what the meters make of totals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.queue import fastest_per_s, policy_of
from target.queue.rate_policy import (
    HOLDS_MIN,
    LOWER_MAX,
    RAISE_MAX,
    SHOW_RATIO_MIN,
    SHOW_WINDOW_S,
    AdaptiveRate,
    ConflictMeter,
    Feedback,
    FixedRate,
    ShowMeter,
)
from target.settings import Settings

RATIOS = st.floats(0, 1)
FEEDBACKS = st.lists(st.builds(Feedback, conflict_ratio=st.none() | RATIOS, show_ratio=RATIOS), max_size=60)


def adaptive(first: float = 30.0, floor: float = 5.0, ceiling: float = 60.0, target: float = 0.1) -> AdaptiveRate:
    return AdaptiveRate(first, 10, floor_per_s=floor, ceiling_per_s=ceiling, target_ratio=target)


@given(first=st.floats(0.1, 1000), target=RATIOS, feedbacks=FEEDBACKS)
def test_the_rate_stays_between_floor_and_ceiling(first: float, target: float, feedbacks: list[Feedback]) -> None:
    policy = adaptive(first=first, target=target)
    for feedback in feedbacks:
        policy.observe(feedback)
        assert 5.0 <= policy.rate_per_s() <= 60.0


def test_a_floor_above_the_ceiling_gives_way() -> None:
    assert adaptive(floor=90.0).rate_per_s() == 60.0


@pytest.mark.parametrize("first", [5.0, 30.0, 60.0])
@pytest.mark.parametrize("conflicts_per_rate", [0.1 / 20, 0.1 / 45])
def test_it_settles_where_the_conflicts_meet_the_target(first: float, conflicts_per_rate: float) -> None:
    """A system whose share of conflicts grows with the rate."""
    policy = adaptive(first=first)
    for _ in range(60):
        policy.observe(Feedback(conflict_ratio=min(1.0, policy.rate_per_s() * conflicts_per_rate)))
    assert policy.rate_per_s() == pytest.approx(0.1 / conflicts_per_rate, rel=0.02)


def test_it_lowers_fast_and_raises_slowly() -> None:
    policy = adaptive()
    policy.observe(Feedback(conflict_ratio=1.0))
    assert policy.rate_per_s() == pytest.approx(30 * LOWER_MAX)
    policy = adaptive()
    policy.observe(Feedback(conflict_ratio=0.0))
    assert policy.rate_per_s() <= 30 * RAISE_MAX


def test_without_enough_holds_nothing_changes() -> None:
    policy = adaptive()
    for _ in range(20):
        policy.observe(Feedback(conflict_ratio=None))
    assert policy.rate_per_s() == 30.0


def test_those_who_do_not_come_are_made_up_for_within_the_ceiling() -> None:
    policy = adaptive()
    policy.observe(Feedback(show_ratio=0.75))
    assert policy.rate_per_s() == pytest.approx(40.0)
    policy.observe(Feedback(show_ratio=0.1))
    assert policy.rate_per_s() == 60.0
    policy = adaptive(first=6.0, ceiling=1000.0)
    policy.observe(Feedback(show_ratio=0.0))
    assert policy.rate_per_s() == pytest.approx(6.0 / SHOW_RATIO_MIN)
    policy.observe(Feedback(show_ratio=1.0))
    assert policy.rate_per_s() == pytest.approx(6.0)


def test_a_fixed_rate_is_what_it_is() -> None:
    policy = FixedRate(7.0, 3)
    policy.observe(Feedback(conflict_ratio=1.0, show_ratio=0.1))
    assert (policy.rate_per_s(), policy.burst) == (7.0, 3)


def test_the_settings_choose_the_policy() -> None:
    fixed, changing = Settings(), Settings(admission="adaptive", admission_rate_per_s=500.0, admission_burst=7)
    assert isinstance(policy_of(fixed), FixedRate)
    policy = policy_of(changing)
    assert isinstance(policy, AdaptiveRate)
    assert (policy.rate_per_s(), policy.burst) == (60.0, 7)
    assert (fastest_per_s(fixed), fastest_per_s(changing)) == (30.0, 60.0)


def test_the_conflict_ratio_is_of_recent_holds() -> None:
    meter = ConflictMeter()
    assert meter.update(3, 3, after_s=1) is None
    assert meter.update(100, 10, after_s=1) == pytest.approx(0.1, abs=0.03)
    ratio = 0.0
    for second in range(20):
        ratio = meter.update(100 + 10 * second, 10 + 5 * second, after_s=1) or 0.0
    assert ratio == pytest.approx(0.5, abs=0.01)


def test_no_holds_for_long_is_no_ratio() -> None:
    meter = ConflictMeter()
    meter.update(100, 100, after_s=1)
    assert meter.update(100, 100, after_s=60) is None


def test_counts_that_begin_again_do_not_count_backwards() -> None:
    meter = ConflictMeter()
    meter.update(1000, 1000, after_s=1)
    ratio = meter.update(40, 0, after_s=100)
    assert ratio is not None
    assert ratio == pytest.approx(0, abs=1e-3)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.floats(0.1, 10)), min_size=1, max_size=30))
def test_the_ratio_is_a_share_whatever_is_counted(steps: list[tuple[int, int, float]]) -> None:
    meter, holds, conflicts = ConflictMeter(), 0, 0
    for free, taken, after_s in steps:
        holds, conflicts = holds + free + taken, conflicts + taken
        ratio = meter.update(holds, conflicts, after_s=after_s)
        assert ratio is None or -1e-9 <= ratio <= 1 + 1e-9
        assert ratio is not None or free + taken < HOLDS_MIN


def test_the_share_of_those_who_came_is_of_the_last_minute() -> None:
    meter = ShowMeter()
    assert meter.update(0, 0, now_s=0) == 1.0
    assert meter.update(30, 10, now_s=1) == 0.75
    assert meter.update(38, 2, now_s=2) == 0.95, "some came late"
    assert meter.update(138, 2, now_s=2 + SHOW_WINDOW_S) == 1.0
    assert meter.update(10, 0, now_s=100) == 1.0, "the counts were lost"
    assert meter.update(20, 10, now_s=101) == 0.5
