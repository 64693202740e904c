"""The sale as its owner sees it."""

from __future__ import annotations

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations.business import business
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import EPOCH, at_rest, empty, sold

SEATS = tuple(f"101-A-{number}" for number in range(1, 5))
SOLD = 2


def figures(builder: RunBuilder) -> dict[str, Figure]:
    return {figure.name: figure for figure in business(Observations(builder.record()))}


def comes(builder: RunBuilder, fan: int, t_s: float, *, enters_s: float | None = None) -> None:
    builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, t_s, t_s + 0.01)
    if enters_s is not None:
        builder.operation(fan, "enter", "", {"admission_no": fan}, enters_s, enters_s + 0.01)


def looks(builder: RunBuilder, fan: int, t_s: float, free: int) -> None:
    builder.operation(fan, "look", "", {"free": free, "stale": False}, t_s, t_s + 0.1)


@pytest.fixture
def hall() -> RunBuilder:
    """Four seats, two of which are sold, at 1 s and at 2 s."""
    builder = empty()
    for number, seat in enumerate(SEATS[:2], 1):
        sold(builder, number, seat, f"order-{number}")
        event = builder.event(9, "feed", "seat", float(number), "e", number, SOLD, seat, t_sent_s=number - 0.02)
        event["actor"] = "spectator-0000"
    at_rest(builder, capacity=4)
    return builder


def test_what_was_sold_when_and_for_how_much(hall: RunBuilder) -> None:
    found = figures(hall)
    assert (found["on_sale"].value, found["sold"].value) == (4, 2)
    paid = [row["amount_cents"] for row in hall.tables["final_orders"]]
    assert found["revenue_cents"].value == sum(paid) > 0
    assert found["sold_half_s"].value == 2.0
    assert (found["sold_all_s"].value, found["sold_all_s"].note) == (None, "not within the run")
    assert "let_in_after" not in found


def test_without_a_feed_the_time_is_when_the_fan_was_told(hall: RunBuilder) -> None:
    hall.tables["events"].clear()
    told = sorted(
        row["t_complete_s"] for row in hall.tables["operations"] if row["function"] == "pay" and row["outcome"] == "ok"
    )
    assert len(told) == 2
    assert figures(hall)["sold_half_s"].value == told[1]


def test_who_got_nothing_how_long_they_waited_to_learn_it_and_who_was_let_in_for_nothing(hall: RunBuilder) -> None:
    at_rest(hall, capacity=2)
    comes(hall, 5, 0.5, enters_s=1.5)
    looks(hall, 5, 2.4, 0)
    comes(hall, 6, 0.5, enters_s=3.0)
    looks(hall, 6, 3.1, 0)
    comes(hall, 7, 0.6)
    comes(hall, 8, 0.6)
    hall.event(8, "positions", "sold_out", 2.6)["actor"] = "fan-0008"
    found = figures(hall)
    assert found["sold_all_s"].value == 2.0
    assert found["sold_out_first_shown_s"].value == pytest.approx(2.5)
    assert (found["empty_handed"].value, found["empty_handed"].samples) == (4, 6)
    assert (found["learnt"].value, found["learnt"].samples) == (3, 4)
    assert found["learnt_p50_s"].value == pytest.approx(2.0)
    assert found["learnt_p95_s"].value == pytest.approx(2.7)
    assert (found["let_in_after"].value, found["let_in_after"].note) == (1, "they waited for nothing")


def test_without_orders_at_rest_there_is_nothing_to_tell() -> None:
    assert list(business(Observations(empty().record(absent=("final_orders",))))) == []


def test_where_nobody_says_what_is_on_sale_shares_of_it_are_not_known(hall: RunBuilder) -> None:
    at_rest(hall, capacity=None)
    found = figures(hall)
    assert found["on_sale"].value is None
    assert (found["sold_half_s"].value, found["sold_half_s"].note) == (None, "what was on sale is not known")
