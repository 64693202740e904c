"""Samples with a known cause are attributed to it, and samples without one to none."""

from __future__ import annotations

import numpy as np
import pytest

from harness.causes.missed import Attribution, attribute
from harness.record.verdict import SliResult
from harness.sli.samples import Samples
from tests.harness.causes.test_stretches import FOUND


def p99(value: float = 2000.0) -> SliResult:
    return SliResult("hold_response_p99_ms", value, "ms", 1000.0, met=False, score=50.0, samples=1, worst=9000.0)


def attributed(times: list[tuple[float, float]], sli: SliResult | None = None) -> Attribution:
    at_s, took_ms = np.array(times).T
    samples = Samples(np.arange(len(times)).astype(np.str_), at_s, took_ms, 0.99)
    found = attribute(samples, sli or p99(), FOUND)
    assert found is not None
    return found


def quick() -> list[tuple[float, float]]:
    """Four a second over the whole run, 20 ms each."""
    return [(n / 4, 20.0) for n in range(160)]


def test_a_planted_fault_is_named_with_its_seconds_and_its_share() -> None:
    slow = [(5.0 + n / 10, 3000.0) for n in range(9)]
    found = attributed([*quick(), *slow, (25.0, 1500.0)])
    assert (found.leading.name, found.explains, found.count, found.share) == ("redis-down", True, 9, 0.9)
    assert (found.t_from_s, found.t_to_s) == (5.0, pytest.approx(5.8))
    assert found.worst_s == 5
    assert found.within == 3000.0
    assert found.outside == 20.0
    assert [(part.name, part.count) for part in found.parts] == [("redis-down", 9), ("the rest of the run", 1)]


def test_a_wait_that_began_before_the_fault_and_lasted_into_it_met_it() -> None:
    assert attributed([*quick(), (4.5, 1500.0)]).leading.name == "redis-down"


def test_slowness_that_lies_everywhere_is_explained_by_no_fault() -> None:
    found = attributed([(n / 4, 1200.0) for n in range(160)])
    assert not found.explains


def test_a_fault_that_saw_most_samples_does_not_explain_its_part_of_the_bad_ones() -> None:
    """All came during the fault, slow and quick alike, and one in ten was slow: the fault is no cause."""
    found = attributed([(5.0 + n / 40, 1100.0 if n % 10 == 0 else 20.0) for n in range(100)])
    assert (found.leading.name, found.explains) == ("redis-down", False)


def test_a_slow_release_is_told_as_the_wave() -> None:
    found = attributed([*quick(), *((0.01 * n, 1800.0) for n in range(50))])
    assert (found.leading.kind, found.leading.name, found.explains) == ("wave", "the release", True)
    assert found.worst_count == 50


def test_of_a_share_the_ones_that_count_against_it_are_attributed() -> None:
    sli = SliResult("checkout_completion_ratio", 0.9, "ratio", 0.95, met=False, score=50.0, samples=1, better="higher")
    told = np.ones(100)
    at_s = np.linspace(0.0, 39.0, 100)
    told[(at_s > 5.0) & (at_s < 9.0)] = 0.0
    found = attribute(Samples(np.arange(100).astype(np.str_), at_s, told), sli, FOUND)
    assert found is not None
    assert (found.leading.name, found.share, found.within, found.outside) == (
        "redis-down",
        1.0,
        pytest.approx(0.615, abs=0.3),
        1.0,
    )


def test_without_a_bad_sample_there_is_nothing_to_attribute() -> None:
    samples = Samples(np.array(["a"]), np.array([1.0]), np.array([5.0]), 0.99)
    assert attribute(samples, p99(), FOUND) is None
