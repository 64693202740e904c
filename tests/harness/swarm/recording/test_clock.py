"""Offsets between clocks, from round trips."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.recording.clock import RoundTrip, estimate

delay = st.floats(0.0, 0.5)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(delay, delay), min_size=1, max_size=10))
def test_the_truth_is_within_the_stated_uncertainty(offset_s: float, delays: list[tuple[float, float]]) -> None:
    trips = [
        RoundTrip(sent_s=at + offset_s, master_s=at + there, received_s=at + there + back + offset_s)
        for at, (there, back) in enumerate(delays)
    ]
    guess = estimate(trips)
    assert abs(guess.offset_s - offset_s) <= guess.uncertainty_s + 1e-6


def test_the_shortest_round_trip_decides() -> None:
    trips = [RoundTrip(0.0, 10.4, 0.5), RoundTrip(1.0, 11.001, 1.002), RoundTrip(2.0, 12.0, 2.9)]
    guess = estimate(trips)
    assert guess.offset_s == pytest.approx(-10.0)
    assert guess.uncertainty_s == pytest.approx(0.001)
    assert guess.to_own(20.0) == pytest.approx(10.0)


def test_no_round_trip_is_no_estimate() -> None:
    with pytest.raises(ValueError, match="empty"):
        estimate([])
