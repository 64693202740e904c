"""Where the money went: every intent has one end, and the sums are to the cent."""

from __future__ import annotations

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations.money import money
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import booked, empty, exported, sold


def figures(builder: RunBuilder, *, absent: tuple[str, ...] = ()) -> dict[str, float | None]:
    found: list[Figure] = list(money(Observations(builder.record(absent=absent))))
    return {figure.name: figure.value for figure in found}


@pytest.fixture
def one_sale() -> RunBuilder:
    builder = empty()
    sold(builder, 1, "101-A-1", "a")
    return builder


def test_a_sale_is_ticketed_and_nothing_is_unexplained(one_sale: RunBuilder) -> None:
    found = figures(one_sale)
    assert found["intents_ticketed"] == 1
    assert found["captured_cents"] == found["ordered_cents"] == found["told_cents"] == 5000
    assert found["unexplained_cents"] == 0


@pytest.mark.parametrize(
    ("state", "entries", "end"),
    [
        ("declined", ("decline",), "never_charged"),
        ("expired", (), "never_charged"),
        ("expired", ("capture", "refund"), "refunded"),
        ("refunded", ("capture", "refund"), "refunded"),
        ("pending", (), "in_flight"),
        ("pending", ("capture",), "wrong"),
        ("expired", ("capture",), "wrong"),
        ("refunded", ("capture", "refund", "refund"), "wrong"),
        ("confirmed", (), "wrong"),
        ("confirmed", ("capture", "capture"), "wrong"),
        ("confirmed", ("capture", "refund"), "wrong"),
        ("confirmed", ("capture",), "ticketed"),
    ],
)
def test_every_intent_has_one_end(one_sale: RunBuilder, state: str, entries: tuple[str, ...], end: str) -> None:
    exported(one_sale, 2, "101-A-2", "b", state)
    for entry in entries:
        booked(one_sale, "b", entry)
    found = figures(one_sale)
    ends = {name: value for name, value in found.items() if name.startswith("intents_") and value}
    expected = {"intents_ticketed": 2} if end == "ticketed" else {"intents_ticketed": 1, f"intents_{end}": 1}
    assert ends == expected


def test_an_amount_that_no_fan_was_told_is_not_told_and_no_zero() -> None:
    builder = empty()
    sold(builder, 1, "101-A-1", "a")
    sold(builder, 2, "101-A-2", "b")
    pays = [row for row in builder.tables["operations"] if row["function"] == "pay"]
    for pay, expected in zip(pays, (5000.0, None), strict=True):
        pay["value"] = str(pay["value"]).replace('"amount_cents": 5000, ', "")
        (told,) = [one for one in money(Observations(builder.record())) if one.name == "told_cents"]
        assert told.value == expected
        assert "no amount was told" in told.note


def test_a_capture_for_no_order_is_wrong_and_unexplained(one_sale: RunBuilder) -> None:
    booked(one_sale, "nobody's", "capture", 123)
    found = figures(one_sale)
    assert (found["intents_wrong"], found["unexplained_cents"]) == (1, 123)


@pytest.mark.parametrize(("own", "end"), [(True, "intents_refunded"), (False, "intents_wrong")])
def test_money_that_came_and_went_without_an_order_ended_well_on_a_platform_of_ones_own(
    one_sale: RunBuilder, own: bool, end: str
) -> None:
    booked(one_sale, "nobody's", "capture", 123)
    booked(one_sale, "nobody's", "refund", 123)
    if own:
        section = {"adapter": "shop.py:Shop", "url": "http://127.0.0.1:8000"}
        one_sale.changed(stack="own", scenario={**one_sale.run.scenario, "platform": section})
    found = {name: value for name, value in figures(one_sale).items() if name.startswith("intents_") and value}
    assert found == {"intents_ticketed": 1, end: 1}


def test_refunds_and_captures_count_once_each(one_sale: RunBuilder) -> None:
    exported(one_sale, 2, "101-A-2", "b", "refunded")
    for entry in ("capture", "refund", "refund"):
        booked(one_sale, "b", entry)
    found = figures(one_sale)
    assert (found["captured_twice"], found["refunded_twice"]) == (0, 1)


def test_repeats_under_one_key_and_keys_used_for_something_else(one_sale: RunBuilder) -> None:
    again = {"hold_id": "h-a", "seats": ["101-A-1"]}
    one_sale.operation(1, "pay", "k-a", again, 0.1, None, "unknown", "timeout")
    found = figures(one_sale)
    assert (found["keys_repeated"], found["keys_reused"], found["unknown_charged"]) == (1, 0, 1)
    one_sale.operation(1, "pay", "k-a", again | {"hold_id": "another"}, 3.0, 3.1, "fail", "status")
    assert figures(one_sale)["keys_reused"] == 1


def test_without_a_ledger_nothing_is_said(one_sale: RunBuilder) -> None:
    assert figures(one_sale, absent=("final_ledger",)) == {}
