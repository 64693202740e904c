"""The bootstrap against samples whose truth is known: no difference is none, a shift is found, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.sli.resampling import ROWS_MOST, contrast
from harness.sli.samples import Samples, share_of
from harness.sli.statistics import ENOUGH

TRIES = 150


def waits(seed: int, *, fans: int = 150, each: int = 2, shift: float = 0.0, quantile: float | None = 0.5) -> Samples:
    """Log-normal waits; every fan has a pace of their own, the same in every run of a seed's parity."""
    dice = np.random.default_rng(seed)
    pace = np.random.default_rng(seed // 2).normal(0.0, 0.6, fans)
    who = np.repeat(np.arange(fans), each)
    value = np.exp(pace[who] + dice.normal(0.0, 0.4, len(who))) + shift
    return Samples(who, dice.uniform(0.0, 30.0, len(who)), value, quantile)


def covered(shift: float, quantile: float | None) -> float:
    hits = 0
    for seed in range(0, 2 * TRIES, 2):
        found = contrast(waits(seed, quantile=quantile), waits(seed + 1, shift=shift, quantile=quantile))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= shift <= found.high
    return hits / TRIES


@pytest.mark.parametrize("quantile", [0.5, 0.95, None])
def test_the_interval_of_a_difference_covers_the_truth_at_least_as_often_as_it_says(quantile: float | None) -> None:
    assert covered(0.7, quantile) >= 0.9


def test_it_is_not_so_wide_that_it_says_nothing() -> None:
    found = [contrast(waits(seed), waits(seed + 1, shift=0.7)) for seed in range(0, 60, 2)]
    assert sum(each.low is not None and each.low > 0 for each in found) >= 29


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), fans=st.integers(ENOUGH, 60), quantile=st.sampled_from([0.5, None]))
def test_a_run_does_not_differ_from_itself(seed: int, fans: int, quantile: float | None) -> None:
    run = waits(seed, fans=fans, quantile=quantile)
    found = contrast(run, run)
    assert (found.delta, found.low, found.high) == (0.0, 0.0, 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), shift=st.floats(-50.0, 50.0, allow_nan=False))
def test_a_shift_of_everybody_is_the_difference_exactly(seed: int, shift: float) -> None:
    run = waits(seed)
    shifted = Samples(run.who, run.t_s, run.value + shift, run.quantile)
    found = contrast(run, shifted)
    assert found.low == pytest.approx(shift, abs=1e-6)
    assert found.high == pytest.approx(shift, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_two_runs_changed_about_give_the_same_with_the_other_sign(seed: int) -> None:
    one, two = waits(seed), waits(seed + 1, shift=1.0)
    there, back = contrast(one, two), contrast(two, one)
    assert there.low is not None
    assert (there.delta, there.low, there.high) == pytest.approx((-back.delta, -back.high, -back.low))


def test_pairing_takes_out_what_is_the_fans_own() -> None:
    paired, apart = (contrast(waits(2), waits(3), paired=paired) for paired in (True, False))
    assert paired.high - paired.low < apart.high - apart.low


def test_one_moment_that_hit_everybody_is_not_taken_for_many_fans() -> None:
    """All of the difference lies in one half-second: drawing fans again alone would be certain of it."""
    calm = waits(4, each=1, quantile=None)
    t_s = np.where(calm.who < 40, 0.2, calm.t_s + 0.5)
    hiccup = np.where(calm.who < 40, 100.0, calm.value)
    found = contrast(Samples(calm.who, t_s, calm.value), Samples(calm.who, t_s, hiccup))
    assert found.delta > 20
    assert found.low == 0.0


def test_a_share_counts_as_often_as_it_is_told() -> None:
    control = share_of([(f"fan-{n}", n / 10, False) for n in range(100)])
    treatment = share_of([(f"fan-{n}", n / 10, n % 4 == 0) for n in range(100)])
    found = contrast(control, treatment)
    assert found.delta == 0.25
    assert found.low is not None
    assert 0.1 < found.low < 0.25 < found.high < 0.4


def test_few_fans_and_few_samples_beyond_a_percentile_have_no_interval_and_say_so() -> None:
    few = waits(5, fans=ENOUGH - 1, each=1)
    assert contrast(few, few).low is None
    assert contrast(few, few).note == "too few fans for an interval"
    rare = waits(5, fans=100, each=2, quantile=0.99)
    assert contrast(rare, rare).low is None
    assert "p99" in contrast(rare, rare).note


def test_nothing_seen_is_no_difference_told() -> None:
    run, nothing = waits(6), share_of([])
    assert contrast(run, nothing).delta is None
    assert contrast(nothing, nothing).control is None


def test_more_observations_than_are_resampled_are_thinned_not_cut() -> None:
    many = waits(7, fans=ROWS_MOST // 2, each=3)
    found = contrast(many, Samples(many.who, many.t_s, many.value + 1.0, 0.5))
    assert found.samples_control == 3 * (ROWS_MOST // 2)
    assert found.low is not None
    assert found.low == pytest.approx(1.0, abs=0.1)
