"""The stretches of a run, and which of them a sample belongs to."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from harness.causes.stretches import Stretch, met, stretches
from tests.builders import RunBuilder

FAULTS = tuple(
    msgspec.structs.replace(
        RunBuilder().faults.faults[0],
        experiment=name,
        t_requested_s=start_s,
        t_effective_s=start_s + 0.1,
        t_heal_requested_s=end_s - 0.1,
        t_healed_s=end_s,
    )
    for name, start_s, end_s in (("redis-down", 5.0, 9.0), ("db-unreachable", 12.0, 14.0))
)
FOUND = stretches(FAULTS, (0.0, 30.0), 40.0)


def names(from_s: list[float], to_s: list[float]) -> list[str]:
    places = met(FOUND, np.array(from_s), np.array(to_s))
    return [f"{FOUND[at].kind} {FOUND[at].name}" for at in places]


def test_a_run_is_cut_at_faults_their_aftermath_and_waves() -> None:
    assert [(one.kind, one.name, one.t_from_s, one.t_to_s) for one in FOUND] == [
        ("fault", "redis-down", 5.0, 9.0),
        ("fault", "db-unreachable", 12.0, 14.0),
        ("after", "redis-down", 9.0, 12.0),  # until the next fault
        ("after", "db-unreachable", 14.0, 19.0),
        ("wave", "the release", 0.0, 2.0),
        ("wave", "wave 2", 30.0, 32.0),
        ("rest", "the rest of the run", 0.0, 40.0),
    ]


def test_a_sample_belongs_to_the_fault_that_it_lasted_into() -> None:
    assert names([4.0, 8.9, 9.5, 1.0, 3.0, 31.0], [6.0, 11.0, 10.0, 1.5, 4.0, 31.5]) == [
        "fault redis-down",
        "fault redis-down",
        "after redis-down",
        "wave the release",
        "rest the rest of the run",
        "wave wave 2",
    ]


def test_of_two_faults_the_one_that_lay_longest_in_it_has_the_sample() -> None:
    assert names([8.0, 8.0], [13.5, 12.5]) == ["fault db-unreachable", "fault redis-down"]


def test_a_fault_that_was_never_effective_explains_nothing() -> None:
    never = msgspec.structs.replace(FAULTS[0], t_effective_s=None)
    assert [one.kind for one in stretches((never,), (), 40.0)] == ["rest"]


def test_a_fault_that_was_never_healed_lasts_to_the_end() -> None:
    for_ever = msgspec.structs.replace(FAULTS[0], t_heal_requested_s=None, t_healed_s=None)
    assert stretches((for_ever,), (), 40.0)[0] == Stretch("fault", "redis-down", 5.0, 40.0)


@given(st.lists(st.tuples(st.floats(-1, 45), st.floats(0, 20)), max_size=20))
def test_every_sample_belongs_to_one_stretch_that_it_touches(samples: list[tuple[float, float]]) -> None:
    from_s = np.array([begin for begin, _ in samples])
    to_s = from_s + np.array([length for _, length in samples])
    for at, begin_s, end_s in zip(met(FOUND, from_s, to_s).tolist(), from_s.tolist(), to_s.tolist(), strict=True):
        stretch = FOUND[at]
        if stretch.kind != "rest":
            assert begin_s <= stretch.t_to_s
            assert end_s >= stretch.t_from_s
