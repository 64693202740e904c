"""The door of a feed node: how many come in, and that each of the others is given a moment of its own."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.feed.admission import HINT_MAX_S, HINT_MIN_S, OpenLimit


def limit(rate: float = 10.0) -> OpenLimit:
    return OpenLimit(sockets_max=3, opens_per_s=rate)


def test_a_full_node_has_no_room() -> None:
    assert limit().has_room(2)
    assert not limit().has_room(3)


def test_a_herd_gets_in_at_the_rate_and_the_rest_is_spread_out() -> None:
    door = limit()
    waits = [door.take(100.0) for _ in range(40)]
    assert waits[:10] == [0.0] * 10
    hints = waits[10:]
    assert hints[0] == pytest.approx(HINT_MIN_S)
    assert all(later - sooner == pytest.approx(0.1) for sooner, later in pairwise(hints))


@pytest.mark.parametrize("rate", [2.0, 10.0, 500.0])
def test_a_herd_that_does_as_it_is_told_is_in_after_one_round(rate: float) -> None:
    door = limit(rate)
    waits = [door.take(0.0) for _ in range(int(rate * 4))]
    assert [door.take(wait_s) for wait_s in sorted(wait_s for wait_s in waits if wait_s)] == [0.0] * int(rate * 3)


@given(st.floats(0.5, 1000.0), st.lists(st.floats(0.0, 0.2), min_size=1, max_size=300))
def test_never_more_than_the_burst_and_the_rate_and_hints_are_bounded(rate: float, pauses_s: list[float]) -> None:
    door, now_s, admitted = OpenLimit(sockets_max=1, opens_per_s=rate), 0.0, 0
    for pause_s in pauses_s:
        now_s += pause_s
        wait_s = door.take(now_s)
        admitted += wait_s == 0.0
        assert wait_s <= HINT_MAX_S + 1e-6
        assert wait_s == 0.0 or wait_s >= HINT_MIN_S - 1e-6
    assert admitted <= max(1.0, rate) + rate * now_s + 1e-6
