"""Random schedules: whatever the seed, they can be carried out; the same seed gives the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.specification import experiment
from chaos.specification.soak import FIRST_S, REST_S, draw
from chaos.specification.timeline import Planned, schedule
from harness.errors import InputError

ALL = [experiment.load(name) for name in experiment.names()]
BY_NAME = {one.name: one for one in ALL}


@given(st.integers(0, 2**32), st.integers(1, 40), st.floats(0, 500))
def test_they_fit_with_room_to_recover(seed: int, count: int, spare_s: float) -> None:
    longest_s = max(one.length_s for one in ALL)
    duration_s = FIRST_S + count * (longest_s + REST_S) + spare_s
    drawn = draw(seed, ALL, count, duration_s)
    assert len(drawn) == count
    schedule([Planned(BY_NAME[one.experiment], one.start_s, one.length_s) for one in drawn], duration_s)
    assert drawn[0].start_s >= FIRST_S
    for before, after in pairwise(drawn):
        assert after.start_s >= before.start_s + before.length_s + REST_S - 0.02
    assert drawn[-1].start_s + drawn[-1].length_s <= duration_s - REST_S + 0.02


def test_the_seed_decides() -> None:
    assert draw(1, ALL, 5, 500) == draw(1, ALL, 5, 500)
    assert draw(1, ALL, 5, 500) != draw(2, ALL, 5, 500)


def test_each_comes_once_before_any_comes_twice() -> None:
    assert {one.experiment for one in draw(3, ALL, len(ALL), 1000)} == set(BY_NAME)


def test_too_many_for_the_run_are_refused() -> None:
    with pytest.raises(InputError, match="need") as refused:
        draw(1, ALL, 5, 20)
    assert "duration_s" in refused.value.hint
