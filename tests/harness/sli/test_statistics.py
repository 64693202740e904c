"""Estimates against draws whose truth is known: the interval covers it, and what is called detectable is detected."""

from __future__ import annotations

import random
import statistics

import pytest

from harness.sli.statistics import ENOUGH, Estimate, difference_of_means, rank_correlation

TRIES = 400


def covered(estimates: list[Estimate], truth: float) -> float:
    return sum(estimate.low <= truth <= estimate.high for estimate in estimates) / len(estimates)


def differences(shift: float, size: int = 40) -> list[Estimate]:
    dice = random.Random(7)
    found = [
        difference_of_means([dice.gauss(shift, 10) for _ in range(size)], [dice.gauss(0, 5) for _ in range(size)])
        for _ in range(TRIES)
    ]
    return [estimate for estimate in found if estimate is not None]


def test_the_interval_of_a_difference_covers_the_truth_about_19_times_in_20() -> None:
    assert 0.91 <= covered(differences(3.0), 3.0) <= 0.98


def test_an_effect_of_the_detectable_size_is_seen_about_four_times_in_five() -> None:
    detectable = statistics.median(estimate.detectable for estimate in differences(0.0))
    seen = [estimate.low > 0 for estimate in differences(detectable)]
    assert 0.7 <= sum(seen) / len(seen) <= 0.9


def test_a_few_samples_say_nothing() -> None:
    assert difference_of_means([1.0] * (ENOUGH - 1), [2.0] * 100) is None
    assert rank_correlation([1.0] * (ENOUGH - 1), [2.0] * (ENOUGH - 1)) is None
    assert rank_correlation([1.0] * ENOUGH, [float(n) for n in range(ENOUGH)]) is None


def test_equal_constants_differ_by_nothing_for_certain() -> None:
    assert difference_of_means([2.0] * ENOUGH, [2.0] * ENOUGH) == Estimate(0.0, 0.0, 0.0, 0.0)


def test_order_correlates_and_a_draw_does_not() -> None:
    times = [float(n) for n in range(50)]
    ordered = rank_correlation(times, [t**3 for t in times])
    assert ordered is not None
    assert ordered.value == pytest.approx(1.0)
    dice = random.Random(3)
    drawn = [rank_correlation(times, dice.sample(times, len(times))) for _ in range(TRIES)]
    assert 0.91 <= covered([estimate for estimate in drawn if estimate], 0.0) <= 0.98


def test_ties_share_their_rank() -> None:
    found = rank_correlation([1, 1, 2, 2, 3, 3, 4, 4], [1, 1, 2, 2, 3, 3, 4, 4])
    assert found is not None
    assert found.value == pytest.approx(1.0)
