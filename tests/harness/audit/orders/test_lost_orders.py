"""no_lost_order against its definition, order by order, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import Anomaly
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, read_at_rest

FINAL = ("confirmed", "declined", "refunded", "expired")
STATES = ("pending", *FINAL)


def lost(builder: RunBuilder) -> InvariantResult:
    return judged("no_lost_order", builder)


def acked(builder: RunBuilder, fan: int, order: str, state: str = "pending", *, order_id: bool = True) -> None:
    value = {"hold_id": f"h-{order}", "seats": [f"s-{order}"], "amount_cents": 5000, "state": state}
    builder.operation(fan, "pay", f"k-{order}", value | ({"order_id": order} if order_id else {}), fan, fan + 0.3)


# What became of an order: how it was acked, what the export has, what its fan reads at rest ("" : there is none).
fate = st.tuples(
    st.sampled_from(["pending", "confirmed"]), st.none() | st.sampled_from(STATES), st.sampled_from([*STATES, ""])
)


@settings(max_examples=300, deadline=None)
@given(fates=st.lists(fate, min_size=1, max_size=8))
def test_it_counts_each_order_that_is_not_at_the_same_end_in_both_places(
    fates: list[tuple[str, str | None, str]],
) -> None:
    builder = empty()
    for fan, (told, in_export, read) in enumerate(fates):
        acked(builder, fan, f"o{fan}", told)
        if in_export:
            exported(builder, fan, f"s-o{fan}", f"o{fan}", in_export)
        read_at_rest(builder, fan, f"s-o{fan}", f"o{fan}", read)
    wrong = [1 for _, in_export, read in fates if in_export not in FINAL or read != in_export]
    result = lost(builder)
    assert result.violations_total == len(wrong)
    assert result.status is (Status.VIOLATED if wrong else Status.HELD)
    assert result.chances == len(fates)


def test_a_parked_order_that_vanished_shows_what_its_fan_was_told_and_reads() -> None:
    builder = empty()
    acked(builder, 1, "a")
    read_at_rest(builder, 1, "s-a", "a", "")
    violation = lost(builder).violations[0]
    told = "order a of fan-0001 is lost: it is not in the order export, and its fan is told that there is none"
    assert violation.summary == told
    assert [step.text for step in violation.history] == [
        "fan-0001 was told that order a is pending",
        "fan-0001 looked up order a after settling: missing",
        "order a is not in the order export",
    ]


@pytest.mark.parametrize(("key", "status"), [("k-a", Status.HELD), ("k-b", Status.VIOLATED)])
def test_an_order_without_an_id_is_known_by_its_key(key: str, status: Status) -> None:
    builder = empty()
    acked(builder, 1, "a", order_id=False)
    exported(builder, 1, "s-a", "a")
    builder.tables["final_orders"][0]["idempotency_key"] = key
    assert lost(builder).status is status


def test_an_order_that_a_fan_was_shown_counts_as_acknowledged() -> None:
    builder = empty()
    acked(builder, 1, "a", "confirmed")
    exported(builder, 1, "s-a", "a")
    read_at_rest(builder, 1, "s-a", "a")
    builder.operation(2, "order", "b", {"state": "pending", "seats": ["s-b"]}, 5.0, 5.1)
    assert [v.summary[:24] for v in lost(builder).violations] == ["order b of fan-0002 is lo"[:24]]


@pytest.mark.parametrize("outcome", ["unknown", "fail"])
def test_what_could_not_be_read_is_not_decided(outcome: str) -> None:
    builder = empty()
    acked(builder, 1, "a")
    exported(builder, 1, "s-a", "a")
    builder.operation(1, "order", "a", {}, 60.0, None, outcome, "status")
    result = lost(builder)
    assert (result.status, result.note) == (
        Status.UNKNOWN,
        "1 acknowledged orders could not be looked up by their fans at rest",
    )
    read_at_rest(builder, 1, "s-a", "a")
    assert lost(builder).status is Status.HELD


def test_a_look_during_the_run_is_none_at_rest() -> None:
    builder = empty()
    acked(builder, 1, "a")
    exported(builder, 1, "s-a", "a")
    builder.operation(1, "order", "a", {"state": "pending", "seats": ["s-a"]}, 5.0, 5.1)
    builder.operation(1, "order", "a", {}, 6.0, 6.1, "fail", "missing")
    read_at_rest(builder, 1, "s-a", "a")
    assert lost(builder).status is Status.HELD


def test_where_the_platform_did_not_come_to_rest_nothing_is_lost_yet() -> None:
    builder = empty()
    acked(builder, 1, "a")
    died = Anomaly(t_s=3.0, source="payments", text="payments died on its own", is_death=True)
    result = lost(builder.changed(anomalies=(died,)))
    assert (result.status, result.violations) == (Status.UNKNOWN, ())


def test_nobody_paid_is_no_pass() -> None:
    assert lost(empty()).status is Status.UNKNOWN
