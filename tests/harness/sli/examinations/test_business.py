"""The sale as its owner sees it."""

from __future__ import annotations

import json

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations.business import business
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import EPOCH, at_rest, empty, exported, sold
from tests.paper_stock import StockSale

SEATS = tuple(f"101-A-{number}" for number in range(1, 5))
FREE, HELD, SOLD = 0, 1, 2


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
    assert found["revenue_cents"].unit == "USD cents"
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
    comes(hall, 6, 0.5, enters_s=3.2)
    looks(hall, 6, 3.3, 0)
    comes(hall, 7, 0.6)
    comes(hall, 8, 0.6)
    hall.event(8, "positions", "sold_out", 2.6)["actor"] = "fan-0008"
    found = figures(hall)
    assert found["sold_all_s"].value == 2.0
    assert found["sold_out_first_shown_s"].value == pytest.approx(2.5)
    assert (found["empty_handed"].value, found["empty_handed"].samples) == (4, 6)
    assert (found["learnt"].value, found["learnt"].samples) == (3, 4)
    assert found["learnt_p50_s"].value == pytest.approx(2.0)
    assert found["learnt_p95_s"].value == pytest.approx(2.9)
    assert found["gone_s"].value == 2.0
    assert (found["let_in_after"].value, found["let_in_after"].note) == (1, "they waited for nothing")


def test_without_orders_at_rest_there_is_nothing_to_tell() -> None:
    assert list(business(Observations(empty().record(absent=("final_orders",))))) == []


def test_where_nobody_says_what_is_on_sale_shares_of_it_are_not_known(hall: RunBuilder) -> None:
    at_rest(hall, capacity=None)
    found = figures(hall)
    assert found["on_sale"].value is None
    assert (found["sold_half_s"].value, found["sold_half_s"].note) == (None, "what was on sale is not known")


def changed(builder: RunBuilder, t_s: float, number: int, state: int, seat: str) -> None:
    event = builder.event(9, "feed", "seat", t_s, "e", number, state, seat, t_sent_s=t_s - 0.02)
    event["actor"] = "spectator-0000"


def test_nothing_is_gone_for_good_while_a_seat_may_come_back(hall: RunBuilder) -> None:
    at_rest(hall, capacity=3)
    comes(hall, 5, 0.5, enters_s=5.2)
    comes(hall, 6, 0.5, enters_s=8.0)
    changed(hall, 3.0, 3, HELD, SEATS[2])
    assert figures(hall)["gone_s"].value == 3.0
    changed(hall, 5.0, 4, FREE, SEATS[2])
    found = figures(hall)
    assert (found["gone_s"].value, "let_in_after" in found) == (None, False)
    changed(hall, 6.0, 5, HELD, SEATS[2])
    found = figures(hall)
    assert (found["gone_s"].value, found["let_in_after"].value) == (6.0, 1)  # fan 5 could have had it


def test_who_is_called_in_in_time_and_follows_late_did_not_wait_for_nothing(hall: RunBuilder) -> None:
    at_rest(hall, capacity=2)
    comes(hall, 6, 0.5, enters_s=9.0)
    hall.event(6, "positions", "admitted", 1.9)["actor"] = "fan-0006"
    assert figures(hall)["let_in_after"].value == 0


def test_seats_that_were_sold_before_are_not_waited_for(hall: RunBuilder) -> None:
    for seat in SEATS[2:]:
        exported(hall, 90, seat, "order-before")
        hall.tables["baseline_orders"].append(hall.tables["final_orders"][-1])
    found = figures(hall)
    assert (found["on_sale"].value, found["sold"].value) == (2, 2)
    assert (found["sold_all_s"].value, found["gone_s"].value) == (2.0, 2.0)


def test_without_a_feed_it_is_gone_when_everybody_is_shown_that_it_is(hall: RunBuilder) -> None:
    hall.tables["events"].clear()
    for t_s, free in ((1.0, 2), (2.0, 0), (3.0, 1), (4.0, 0), (5.0, 0)):
        looks(hall, 5, t_s, free)
    hall.operation(6, "look", "", {"free": 3, "stale": True}, 6.0, 6.1)  # an old map
    assert figures(hall)["gone_s"].value == pytest.approx(4.1)
    looks(hall, 7, 8.0, 1)
    assert figures(hall)["gone_s"].value is None


def test_a_sale_of_pools_alone_has_the_same_line() -> None:
    sale = StockSale().ruled(currency="EUR")
    found = figures(sale)
    sold_ = sum(int(str(row["quantity"])) for row in sale.confirmed())
    assert (found["on_sale"].value, found["sold"].value) == (50, sold_)
    assert found["sold_half_s"].value is not None
    assert found["revenue_cents"].unit == "EUR cents"
    granted = sum(
        json.loads(str(row["value"]))["quantity"]
        for row in sale.tables["operations"]
        if row["function"] == "hold" and row["outcome"] == "ok"
    )
    assert granted > 50  # all of them, and some again that had come back
    assert (found["resold"].value, found["resold"].samples) == (granted - 50, granted - sold_)


def test_pools_that_are_sold_again_and_run_out() -> None:
    sale = StockSale(fans=0, stock={"floor": 4})
    took = {"pool": "floor", "quantity": 2, "granted": 2, "ttl_s": 8.0}
    for fan in (1, 2, 3):
        sale.operation(fan, "hold", f"basket-{fan:04d}", took, float(fan), fan + 0.1)
    sale.buy(1, "basket-0001", "floor", 2, 4.0)
    sale.buy(3, "basket-0003", "floor", 2, 5.0)
    for t_s, free in ((0.5, 4), (3.5, 0), (6.0, 0)):
        sale.operation(7, "stock", "", {"pools": {"floor": free}}, t_s, t_s + 0.1)
    found = figures(sale)
    assert (found["sold"].value, found["sold_all_s"].value) == (4, pytest.approx(5.12))
    assert found["gone_s"].value == pytest.approx(3.6)
    assert (found["resold"].value, found["resold"].samples) == (2, 2)
    assert found["resold"].note.startswith("at least")


def test_of_seats_and_pools_in_one_sale_both_count(hall: RunBuilder) -> None:
    at_rest(hall, capacity=2)
    hall.tables["baseline_stock"].append({"pool": "floor", "free": 2, "held": 0, "sold": 0})
    took = {"pool": "floor", "quantity": 2}
    hall.operation(7, "hold", "basket-7", took | {"granted": 2, "ttl_s": 8.0}, 2.5, 2.6)
    paid = took | {
        "hold_id": "basket-7",
        "order_id": "order-7",
        "state": "confirmed",
        "bought": 2,
        "amount_cents": 9000,
    }
    hall.operation(7, "pay", "key-7", paid, 3.0, 3.1)
    row = {"order_id": "order-7", "fan": "fan-0007", "seat": "", "pool": "floor", "quantity": 2, "state": "confirmed"}
    hall.tables["final_orders"].append(row | {"amount_cents": 9000, "idempotency_key": "key-7"})
    for t_s, free in ((1.0, 2), (2.8, 0)):
        hall.operation(8, "stock", "", {"pools": {"floor": free}}, t_s, t_s + 0.1)
    found = figures(hall)
    assert (found["on_sale"].value, found["sold"].value) == (4, 4)
    assert (found["sold_half_s"].value, found["sold_all_s"].value) == (2.0, 3.1)
    assert found["gone_s"].value == pytest.approx(2.9)


def test_whom_a_map_shows_only_seats_that_are_kept_for_others_learns_that_nothing_is_left(hall: RunBuilder) -> None:
    for fan, theirs in ((5, 0), (6, 2)):
        comes(hall, fan, 1.0, enters_s=2.0)
        hall.operation(fan, "look", "", {"free": 2, "theirs": theirs, "stale": False}, 3.0, 3.1)
    found = figures(hall)
    assert (found["empty_handed"].value, found["learnt"].value) == (2, 1)
    assert found["sold_out_first_shown_s"].value is None


def test_what_became_of_accessible_seats_and_of_the_fans_who_needed_one(hall: RunBuilder) -> None:
    assert "accessible_sold" not in figures(hall)
    told = {"free": 4, "accessible": {SEATS[0]: SEATS[0], SEATS[2]: SEATS[2]}}
    hall.operation(-2, "look", "", told, 0.1, 0.2, actor="probe-1")
    for fan in (1, 7, 8):  # the first has bought one
        hall.operation(fan, "look", "", {"free": 4, "theirs": 0, "declared": True}, 3.0, 3.1)
    found = figures(hall)
    assert (found["accessible_sold"].value, found["accessible_sold"].samples) == (1, 2)
    assert (found["accessible_needed"].value, found["accessible_empty"].value) == (3, 2)
