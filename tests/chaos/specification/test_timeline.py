"""The schedule: a pure function from plans to steps."""

from __future__ import annotations

import pytest

from chaos.specification import experiment
from chaos.specification.timeline import WATCH_LEAD_S, Kind, Planned, Step, schedule
from harness.errors import InputError

REDIS = experiment.load("redis-down")
DATABASE = experiment.load("db-unreachable")
SLOW = experiment.load("payment-latency-8s")
DROPS = experiment.load("websocket-drops")


def test_each_fault_is_watched_injected_and_healed() -> None:
    assert schedule([Planned(REDIS, 6, 4)]) == (
        Step(6 - WATCH_LEAD_S, Kind.WATCH, 0, ()),
        Step(6, Kind.INJECT, 0, (0,)),
        Step(10, Kind.HEAL, 0, (0,)),
    )


def test_the_length_is_the_experiments_own_unless_it_is_given() -> None:
    assert Planned(REDIS, 6).end_s == 6 + REDIS.length_s
    assert Planned(REDIS, 6, 1).end_s == 7


def test_drops_are_repeated_inside_the_window() -> None:
    steps = schedule([Planned(DROPS, 40, 4)])
    assert [(step.t_s, step.kind, step.faults) for step in steps[1:]] == [
        (40, Kind.INJECT, (0, 1)),
        (42, Kind.REPEAT, (0, 1)),
        (44, Kind.HEAL, (0, 1)),
    ]


def test_experiments_on_other_proxies_may_overlap() -> None:
    steps = schedule([Planned(REDIS, 5, 4), Planned(DATABASE, 6, 4)])
    times = [step.t_s for step in steps]
    assert times == sorted(times)
    assert [step.planned for step in steps if step.kind == Kind.HEAL] == [0, 1]


def test_a_window_may_begin_where_one_ends_and_heals_first() -> None:
    steps = schedule([Planned(REDIS, 9, 4), Planned(REDIS, 5, 4)])
    assert [step.kind for step in steps if step.t_s == 9] == [Kind.HEAL, Kind.INJECT]


def test_nothing_planned_is_nothing_to_do() -> None:
    assert schedule([]) == ()


@pytest.mark.parametrize(
    ("planned", "key", "message"),
    [
        ([Planned(REDIS, 5, 4), Planned(REDIS, 8, 4)], "faults[1].start_s", "break redis at the same time"),
        ([Planned(REDIS, -1, 4)], "faults[0].start_s", "before the release"),
        ([Planned(REDIS, 1, 0)], "faults[0].length_s", "above 0 s"),
        ([Planned(REDIS, 1, 4), Planned(DATABASE, 48, 4)], "faults[1].start_s", "after the end of the run at 50 s"),
        ([Planned(SLOW, 1, 5)], "faults[0].length_s", "cannot be proven in 5 s"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(planned: list[Planned], key: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        schedule(planned, duration_s=50)
    assert caught.value.key == key
    assert message in caught.value.message


def test_it_is_pure() -> None:
    planned = (Planned(REDIS, 5), Planned(DROPS, 7), Planned(DATABASE, 20))
    assert schedule(planned) == schedule(planned)
    assert planned == (Planned(REDIS, 5), Planned(DROPS, 7), Planned(DATABASE, 20))


def test_an_expectation_that_looks_only_after_the_end_of_the_run_is_refused() -> None:
    plan = Planned(experiment.load("booking-node-loss"), 5, 2)
    assert schedule([plan], duration_s=16)
    with pytest.raises(
        InputError, match="of which nothing can be seen before 15 s, and the run ends at 15 s"
    ) as refused:
        schedule([plan], duration_s=15)
    assert refused.value.key == "faults[0].start_s"
    with pytest.raises(InputError, match="expects 'clients that were cut are back'"):
        schedule([Planned(DROPS, 10, 2)], duration_s=14)
