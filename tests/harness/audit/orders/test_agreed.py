"""Which answers agree with the order export, against its definition answer by answer, and case by case."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.audit.history import Evidence
from harness.audit.operations import Operation, OrderValue, PayValue
from harness.audit.orders.agreed import agreed, confirmed
from harness.audit.seats.bookings import confirmations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, read_at_rest, sold

SEAT = "104-C-12"
Broken = Callable[[RunBuilder], object]


def is_as_exported(evidence: Evidence, answer: Operation[PayValue] | Operation[OrderValue]) -> bool:
    """The definition."""
    paid = isinstance(answer.value, PayValue)
    order = evidence.order_of(answer.value.order_id if paid else answer.key, answer.key if paid else "")
    if order is None or not answer.ok or (paid and evidence.order_of("", answer.key) is not order):
        return False
    same = (order.state, order.fan, order.seats) == ("confirmed", answer.actor, answer.value.seats)
    plain = not (order.pools or order.repeated or answer.value.pool or answer.value.quantity)
    return same and plain and answer.value.state == "confirmed" and answer.value.amount_cents == order.amount_cents


@pytest.mark.parametrize(
    "broken",
    [
        RunBuilder.double_sell, RunBuilder.lose_booking, RunBuilder.lose_order, RunBuilder.raise_prices,
        RunBuilder.reuse_key, RunBuilder.sell_unasked, RunBuilder.show_other_number, RunBuilder.exceed_limit,
        RunBuilder.double_charge, RunBuilder.grant_sold,
    ],
)  # fmt: skip
def test_what_agrees_is_what_the_definition_says(broken: Broken) -> None:
    builder = RunBuilder()
    broken(builder)
    evidence = Evidence(builder.record())
    found = agreed(evidence)
    assert found.pays.tolist() == [is_as_exported(evidence, pay) for pay in evidence.pays]
    looks = evidence.lookups.ok
    assert found.looks.tolist() == [is_as_exported(evidence, look) and not look.value.stale for look in looks]
    assert list(found.odd_pays) == [pay for pay, same in zip(evidence.pays, found.pays, strict=True) if not same]
    assert any(found.pays)
    assert any(found.looks)


def test_what_agrees_and_the_rest_are_everything_that_was_told() -> None:
    evidence = Evidence(RunBuilder().lose_booking().record())
    told, odd = list(confirmations(evidence)), list(confirmations(evidence, odd=True))
    assert len(told) == confirmed(evidence.pays.ok) + confirmed(evidence.lookups.ok)
    assert sum(len(one.seats) for one in told) == agreed(evidence).seats_told + sum(len(one.seats) for one in odd)
    assert 0 < len(odd) < len(told)


def test_a_payment_and_a_look_agree_with_their_order() -> None:
    builder = empty()
    sold(builder, 1, SEAT, "a")
    read_at_rest(builder, 1, SEAT, "a")
    found = agreed(Evidence(builder.record()))
    assert (found.pays.tolist(), found.looks.tolist(), found.ids_of_pays.to_pylist()) == ([True], [True], ["a"])


@pytest.mark.parametrize(
    "change",
    [
        {"state": "pending"}, {"seats": ["1-A-1"]}, {"seats": [SEAT, "1-A-1"]}, {"seats": []}, {"amount_cents": 4999},
        {"order_id": "b"}, {"pool": "hall", "quantity": 1}, {"bought": 1},
    ],
)  # fmt: skip
def test_a_payment_that_was_answered_otherwise_is_odd(change: dict[str, object]) -> None:
    builder = empty()
    value = {"hold_id": "h", "seats": [SEAT], "order_id": "a", "amount_cents": 5000, "state": "confirmed", **change}
    builder.operation(1, "pay", "k-a", value, 1.0, 1.1)
    exported(builder, 1, SEAT, "a")
    assert agreed(Evidence(builder.record())).pays.tolist() == [False]


def test_of_two_orders_with_one_key_only_the_last_can_agree() -> None:
    builder = empty()
    for fan, order in ((1, "a"), (2, "b")):
        value = {"seats": [SEAT], "order_id": order, "amount_cents": 5000, "state": "confirmed"}
        builder.operation(fan, "pay", "k", value, fan, fan + 0.1)
        exported(builder, fan, SEAT, order)
        builder.tables["final_orders"][-1]["idempotency_key"] = "k"
    assert agreed(Evidence(builder.record())).pays.tolist() == [False, True]


def test_without_an_export_nothing_agrees() -> None:
    builder = empty()
    value = {"seats": [SEAT], "order_id": "a", "amount_cents": 5000, "state": "confirmed"}
    builder.operation(1, "pay", "k-a", value, 1.0, 1.1)
    found = agreed(Evidence(builder.record()))
    assert (found.pays.tolist(), found.order_of_pay.tolist()) == ([False], [-1])


@pytest.mark.parametrize(
    ("told", "ordered"), [((["a\x1fb"], 5000), (["a", "b"], 5000)), (([SEAT], 10**30), ([SEAT], 2**62))]
)
def test_what_only_looks_alike_as_a_column_is_odd(told: tuple[list[str], int], ordered: tuple[list[str], int]) -> None:
    builder = empty()
    (seats, cents), (rows, in_all) = told, ordered
    value = {"seats": seats, "order_id": "a", "amount_cents": cents, "state": "confirmed"}
    builder.operation(1, "pay", "k-a", value, 1.0, 1.1)
    for seat in rows:
        exported(builder, 1, seat, "a", cents=in_all // len(rows))
    assert agreed(Evidence(builder.record())).pays.tolist() == [False]
