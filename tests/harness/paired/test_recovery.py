import numpy as np

from harness.paired.recovery import EVERY_S, WINDOW_S, look, recovered_after_s
from harness.sli.samples import Samples

HEALED_S = 10.0


def waits(seed: int, *, slow_until_s: float = 0.0, per_s: int = 40) -> Samples:
    dice = np.random.default_rng(seed)
    t_s = np.sort(dice.uniform(0.0, 30.0, 30 * per_s))
    value = np.exp(dice.normal(0.0, 0.3, len(t_s)))
    return Samples(np.arange(len(t_s)), t_s, np.where((t_s >= 8.0) & (t_s < slow_until_s), value * 20, value), 0.5)


def test_it_is_back_when_the_slow_ones_are_gone() -> None:
    looks = look(waits(1), waits(2, slow_until_s=14.0), "lower", HEALED_S, 25.0)
    took_s = recovered_after_s(looks, HEALED_S)
    assert took_s is not None
    assert 4.0 - WINDOW_S <= took_s <= 4.0 + 4 * EVERY_S


def test_one_that_is_well_from_the_heal_on_was_back_at_once() -> None:
    assert recovered_after_s(look(waits(3), waits(4, slow_until_s=9.0), "lower", HEALED_S, 25.0), HEALED_S) == 0.0


def test_one_that_stays_slow_is_not_back() -> None:
    looks = look(waits(1), waits(2, slow_until_s=30.0), "lower", HEALED_S, 25.0)
    assert len(looks) > 10
    assert recovered_after_s(looks, HEALED_S) is None


def test_a_single_good_look_is_not_a_recovery() -> None:
    looks = [(10.0, False), (10.5, True), (11.0, False), (11.5, True), (12.0, True), (12.5, True)]
    assert recovered_after_s(looks, HEALED_S) == 1.5


def test_without_samples_there_is_nothing_to_look_at() -> None:
    nothing = Samples(np.array([], dtype=int), np.array([]), np.array([]), 0.5)
    assert look(waits(1), nothing, "lower", HEALED_S, 25.0) == []


def test_a_control_that_has_finished_is_asked_for_what_it_was_before() -> None:
    finished = waits(1).between(0.0, 9.0)
    assert recovered_after_s(look(finished, waits(2), "lower", HEALED_S, 25.0), HEALED_S) is not None
