"""Chances are counted from what puts an invariant to the test: without the probes of a run there are none."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import judged
from tests.paper_sale import Row


def without(builder: RunBuilder, unwanted: Callable[[Row], bool]) -> RunBuilder:
    """The on-sale without some of its operations."""
    builder.tables["operations"] = [op for op in builder.tables["operations"] if not unwanted(op)]
    for number, op in enumerate(builder.tables["operations"]):
        op["op"] = number
    return builder


def paid_again(builder: RunBuilder) -> Callable[[Row], bool]:
    """Every payment but the first one under each key."""
    seen: set[object] = set()

    def unwanted(op: Row) -> bool:
        repeat = op["function"] == "pay" and op["key"] in seen
        seen.add(op["key"])
        return repeat

    return unwanted


PROBES: dict[str, Callable[[RunBuilder], Callable[[Row], bool]]] = {
    "no_double_sell": lambda _: lambda op: op["function"] == "sweep" and op["error"] == "conflict",
    "no_lost_booking": lambda _: lambda op: op["function"] in ("pay", "order"),
    "no_lost_order": lambda _: lambda op: op["function"] == "pay",
    "one_key_one_purchase": paid_again,
    "purchase_limit": lambda _: lambda op: op["error"] == "limit",
}


@pytest.mark.parametrize(("name", "probes"), PROBES.items(), ids=list(PROBES))
def test_without_its_probes_an_invariant_is_not_held(
    name: str, probes: Callable[[RunBuilder], Callable[[Row], bool]]
) -> None:
    whole = judged(name, RunBuilder())
    assert (whole.status, whole.chances > 0) == (Status.HELD, True)
    builder = RunBuilder()
    result = judged(name, without(builder, probes(builder)))
    assert (result.status is Status.HELD, result.chances) == (False, 0)


def test_without_a_price_shown_or_money_moved_there_is_nothing_to_compare() -> None:
    builder = RunBuilder()
    for op in builder.tables["operations"]:
        value = json.loads(str(op["value"]))
        value.pop("shown_cents", None)
        op["value"] = json.dumps(value)
    assert (judged("charged_as_shown", builder).status, judged("charged_as_shown", builder).chances) == (
        Status.UNKNOWN,
        0,
    )
    elsewhere = judged("charged_as_shown", builder.changed(stack="https://tickets.example"))
    assert elsewhere.status is Status.NOT_OBSERVABLE  # its adapter need not tell prices
    for row in builder.tables["final_orders"]:
        row["state"] = "declined"
    builder.tables["final_ledger"].clear()
    assert (judged("money_reconciles", builder).status, judged("money_reconciles", builder).chances) == (
        Status.NOT_EXERCISED,
        0,
    )
