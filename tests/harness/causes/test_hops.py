"""Planted slow hops are found in the spans."""

from __future__ import annotations

import pyarrow as pa
import pytest

from harness.causes.hops import SpanTree, step_hops
from harness.record.schema import SPANS

Row = tuple[str, str, str, str, str, float, float]


def table(*rows: Row) -> pa.Table:
    names = ("span_id", "parent_id", "service", "name", "kind", "t_start_s", "t_end_s")
    rest = {"trace_id": "a" * 32, "node": "n", "status": "ok", "attributes": "{}"}
    return pa.Table.from_pylist([dict(zip(names, row, strict=True)) | rest for row in rows], schema=SPANS)


def hops(spans: pa.Table) -> dict[str, float]:
    [step] = step_hops(SpanTree(spans), 1.0)
    assert sum(hop.share for hop in step.hops) == pytest.approx(1.0)
    return {hop.name: round(hop.mean_ms, 6) for hop in step.hops}


def test_the_time_of_a_planted_slow_hop_is_its_own() -> None:
    found = hops(
        table(
            ("1", "", "swarm", "pay", "client", 0.0, 1.0),
            ("2", "1", "booking", "POST /orders", "server", 0.01, 0.99),
            ("3", "2", "booking", "db write", "client", 0.02, 0.92),
            ("4", "2", "booking", "payments POST", "client", 0.93, 0.98),
            ("5", "4", "payments", "POST /charges", "server", 0.94, 0.97),
        )
    )
    assert next(iter(found)) == "booking → db"
    assert found == {
        "booking → db": 900.0,
        "booking": 30.0,
        "payments": 30.0,
        "client and network": 20.0,
        "booking → payments": 20.0,
    }


def test_a_server_that_outlives_the_answer_is_counted_up_to_it() -> None:
    """The first position came after 0.2 s; the stream stayed open for a minute."""
    assert hops(
        table(
            ("1", "", "swarm", "positions", "client", 0.0, 0.2),
            ("2", "1", "booking", "GET /positions", "server", 0.05, 60.0),
        )
    ) == {"booking": 150.0, "client and network": 50.0}


def test_children_at_the_same_time_are_counted_once() -> None:
    assert hops(
        table(
            ("1", "", "swarm", "pay", "client", 0.0, 1.0),
            ("2", "1", "booking", "db read", "client", 0.0, 0.6),
            ("3", "1", "booking", "redis GET", "client", 0.4, 1.0),
        )
    ) == {"booking → db": 600.0, "booking → redis": 400.0, "client and network": 0.0}


def test_steps_come_slowest_first_and_no_span_gives_no_step() -> None:
    spans = table(
        ("1", "", "swarm", "hold", "client", 0.0, 0.1),
        ("2", "", "swarm", "pay", "client", 0.0, 0.5),
        ("3", "", "swarm", "pay", "client", 0.0, 0.7),
    )
    assert [(step.step, step.traces, step.p50_ms, step.max_ms) for step in step_hops(SpanTree(spans), 1.0)] == [
        ("pay", 2, pytest.approx(500.0), pytest.approx(700.0)),
        ("hold", 1, pytest.approx(100.0), pytest.approx(100.0)),
    ]
    assert step_hops(SpanTree(SPANS.empty_table()), 1.0) == ()


def test_slow_journeys_that_were_kept_for_being_slow_do_not_say_what_is_usual() -> None:
    usual = [{"trace_id": f"{n:032x}", "span_id": f"{n:016x}", "t_start_s": 0.0, "t_end_s": 0.1} for n in range(1, 61)]
    slow = [
        {"trace_id": "f" * 31 + str(n), "span_id": f"f{n:015x}", "t_start_s": 0.0, "t_end_s": 9.0} for n in range(9)
    ]
    rest = {"parent_id": "", "service": "swarm", "node": "n", "name": "hold", "kind": "client", "status": "ok"}
    spans = pa.Table.from_pylist([{**rest, **one, "attributes": "{}"} for one in (*usual, *slow)], schema=SPANS)
    [step] = step_hops(SpanTree(spans), 0.01)
    assert (step.traces, step.p50_ms, step.max_ms) == (60, pytest.approx(100.0), pytest.approx(100.0))
