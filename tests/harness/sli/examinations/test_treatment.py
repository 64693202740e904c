"""Fairness on paper: a just line shows nothing, and each injustice shows in its own figure."""

from __future__ import annotations

import json
import random

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations.treatment import fairness
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty

CROWD = 80


def crowd(numbers: list[int], *, kinds: str = "fan", policy: str = "fifo", worker_of: int = 1) -> RunBuilder:
    """Everybody joins one after the other; number n of them is admitted as `numbers[n]`, one each second.

    `kinds`: "fan", or "mixed" where every second one is a bot. `worker_of`: how many workers take turns.
    """
    builder = empty()
    on_sale = {"queue_policy": policy, "pre_queue_s": 0.1 * CROWD if policy == "shuffle" else 0.0}
    builder.changed(scenario={**builder.run.scenario, "on_sale": on_sale})
    for n, number in enumerate(numbers):
        actor = f"bot-{n:04d}" if kinds == "mixed" and n % 2 else f"fan-{n:04d}"
        join = builder.operation(n, "join", actor, {"position": n, "epoch": "e"}, n * 0.1, n * 0.1 + 0.05, actor=actor)
        join["worker"] = n % worker_of
        enter_s = 100.0 + number
        builder.operation(n, "enter", actor, {"admission_no": number}, enter_s, enter_s, actor=actor)
        kind = "bot" if actor.startswith("bot") else "fan"
        builder.request(n, "queue_page", n * 0.1, 0.01, actor=actor).update(kind=kind, worker=n % worker_of)
        for event, t_s, value in (("position", 50.0, number), ("admitted", enter_s, None)):
            builder.event(n, "positions", event, t_s, value=value).update(actor=actor, worker=n % worker_of)
    return builder


def figures(builder: RunBuilder) -> dict[str, Figure]:
    return {figure.name: figure for figure in fairness(Observations(builder.record()))}


def in_order() -> list[int]:
    return list(range(1, CROWD + 1))


def drawn(seed: int = 5) -> list[int]:
    numbers = in_order()
    random.Random(seed).shuffle(numbers)
    return numbers


def test_first_come_first_served_has_no_overtakers_and_rewards_the_first_to_connect() -> None:
    found = figures(crowd(in_order()))
    assert (found["overtakers"].value, found["overtaken_by_max"].value) == (0.0, 0.0)
    first = found["first_over_last"]
    assert first.value == pytest.approx(75.0)
    assert "first come, first served" in first.note
    assert "draw_bias" not in found


def test_one_who_overtakes_everybody_is_counted_with_the_distance() -> None:
    found = figures(crowd([*range(2, CROWD + 1), 1]))
    assert (found["overtakers"].value, found["overtaken_by_max"].value) == (1.0, CROWD - 1.0)


def test_a_fair_draw_shows_no_bias_and_a_queue_that_calls_itself_a_draw_does() -> None:
    fair = figures(crowd(drawn(), policy="shuffle"))["draw_bias"]
    assert fair.low is not None
    assert fair.high is not None
    assert fair.low < 0 < fair.high
    sham = figures(crowd(in_order(), policy="shuffle"))["draw_bias"]
    assert sham.value == pytest.approx(1.0)
    assert sham.low is not None
    assert sham.low > 0.9


def test_who_comes_too_late_for_the_draw_does_not_make_it_look_unfair() -> None:
    late = 30
    found = figures(crowd([*drawn(), *range(CROWD + 1, CROWD + late + 1)], policy="shuffle"))
    bias = found["draw_bias"]
    assert bias.samples == CROWD
    assert bias.low is not None
    assert bias.high is not None
    assert bias.low < 0 < bias.high
    assert found["first_over_last"].samples == 2 * (CROWD // 4)


def test_bots_who_are_put_first_are_ahead_beyond_doubt_and_equals_are_not() -> None:
    bots_first = [*range(CROWD // 2 + 1, CROWD + 1), *range(1, CROWD // 2 + 1)]
    order = [bots_first[n // 2] if n % 2 == 0 else bots_first[CROWD // 2 + n // 2] for n in range(CROWD)]
    ahead = figures(crowd(order, kinds="mixed"))["bots_over_fans"]
    assert ahead.value == pytest.approx(50.0)
    assert ahead.low is not None
    assert ahead.low > 40
    alike = figures(crowd(drawn(), kinds="mixed"))["bots_over_fans"]
    assert alike.low is not None
    assert alike.high is not None
    assert alike.low < 0 < alike.high
    assert alike.detectable is not None
    assert 10 < alike.detectable < 25  # 2.8 · √(2 · 833 / 40) % of the line


def test_without_bots_nothing_is_said_of_them() -> None:
    found = figures(crowd(in_order()))["bots_over_fans"]
    assert found.value is None
    assert "too few" in found.note


def test_each_worker_is_held_against_the_others() -> None:
    found = figures(crowd(drawn(), worker_of=2))
    assert {"worker_0_over_rest", "worker_1_over_rest"} <= set(found)
    assert found["worker_0_over_rest"].value == pytest.approx(-(found["worker_1_over_rest"].value or 0.0))
    assert not any(name.startswith("worker") for name in figures(crowd(drawn())))


def test_honest_positions_are_right_and_flattering_ones_are_not() -> None:
    honest = figures(crowd(in_order()))
    assert (honest["position_error_p50"].value, honest["position_error_p95"].value) == (0.0, 0.0)
    flattering = crowd(in_order())
    for row in flattering.tables["events"]:
        if row["event"] == "position":
            row["value"] = int(str(row["value"])) - 5
    assert figures(flattering)["position_error_p50"].value == -5.0


def test_tries_to_jump_the_queue_are_counted_and_silence_is_no_zero() -> None:
    builder = crowd(in_order())
    assert figures(builder)["queue_jumps"].value is None
    builder.operation(1, "join", "bot-x", {"ticket": "tampered"}, 1.0, 1.1, "fail", "status", actor="bot-x")
    builder.operation(1, "probe", "no pass", {"seats": ["a"]}, 2.0, 2.1, "fail", "status", actor="operator")
    assert (figures(builder)["queue_jumps"].value, figures(builder)["queue_jumps"].samples) == (0.0, 2)
    builder.operation(1, "probe", "shared", {"seats": ["a"]}, 3.0, 3.1, "ok", actor="operator")
    assert figures(builder)["queue_jumps"].value == 1.0


def test_an_on_sale_to_which_nobody_came_says_nothing() -> None:
    assert all(figure.value is None for figure in figures(empty()).values())


def test_a_line_whose_numbers_begin_again_in_another_epoch_is_one_line() -> None:
    builder = crowd(in_order())
    for row in builder.tables["operations"]:
        if row["function"] == "enter":
            number = json.loads(str(row["value"]))["admission_no"]
            lost = number > CROWD // 2
            value = {"admission_no": number - CROWD // 2 if lost else number, "epoch": "a" if lost else "b"}
            row["value"] = json.dumps(value)
    found = figures(builder)
    assert (found["overtakers"].value, found["overtaken_by_max"].value) == (0.0, 0.0)
    assert found["first_over_last"].value == pytest.approx(75.0)
