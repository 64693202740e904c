"""Requests span by span, from spans in which the slow hop, the failure and the fault are known."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from harness.causes.hops import SpanTree
from harness.causes.waterfalls import BARS_MOST, WATERFALLS_MOST, journey, waterfalls
from harness.record.schema import SPANS
from harness.record.verdict import Waterfall

Span = dict[str, object]


def span(
    trace: int, own: str, parent: str, service: str, name: str, from_s: float, to_s: float, kind: str = "server"
) -> Span:
    return {
        "trace_id": f"{trace:032x}",
        "span_id": own,
        "parent_id": parent,
        "service": service,
        "node": "n",
        "name": name,
        "kind": kind,
        "t_start_s": from_s,
        "t_end_s": to_s,
        "status": "ok",
        "attributes": "{}",
    }


def sent(trace: int, own: str, step: str, from_s: float, to_s: float, error: str = "") -> Span:
    told = {"actor": f"fan-{trace:06d}", "status": 0, "error": error}
    row = span(trace, own, "", "swarm", step, from_s, to_s, "client")
    return row | {"attributes": json.dumps(told), "status": "error" if error else "ok"}


def drawn(*spans: Span, **windows: tuple[float, float]) -> tuple[Waterfall, ...]:
    table = pa.Table.from_pylist(list(spans), schema=SPANS)
    return waterfalls(table, SpanTree(table), windows)


def test_a_planted_slow_hop_is_the_longest_bar_and_the_largest_part() -> None:
    [fall] = drawn(
        sent(1, "a", "pay", 10.0, 11.0),
        span(1, "b", "a", "booking", "POST /orders", 10.01, 10.99),
        span(1, "c", "b", "booking", "saga.charge", 10.05, 10.95, "internal"),
        span(1, "d", "c", "booking", "payments POST", 10.06, 10.94, "client"),
        span(1, "e", "d", "payments", "POST /charges", 10.07, 10.93),
        span(1, "f", "b", "booking", "redis EVALSHA", 10.96, 10.98, "client"),
    )
    assert (fall.why, fall.step, fall.actor, fall.ended, fall.left_out) == ("slowest", "pay", "fan-000001", "ok", 0)
    assert [(bar.hop, bar.depth, round(bar.from_ms), round(bar.took_ms)) for bar in fall.bars] == [
        ("client and network", 0, 0, 1000),
        ("booking", 1, 10, 980),
        ("booking · saga", 2, 50, 900),
        ("booking → payments", 3, 60, 880),
        ("payments", 4, 70, 860),
        ("booking → redis", 2, 960, 20),
    ]
    assert (fall.hops[0].name, round(fall.hops[0].mean_ms)) == ("payments", 860)
    assert sum(hop.share for hop in fall.hops) == pytest.approx(1.0)


def test_of_each_kind_some_are_shown_and_no_request_twice() -> None:
    spans = [sent(n, f"s{n}", f"step {n % 9}", 0.0, 1.0 + n) for n in range(60)]
    spans += [sent(100 + n, f"f{n}", "hold", 50.0, 50.1, f"error_{n}") for n in range(9)]
    spans += [sent(200 + n, f"u{n}", "join", 95.0 + n / 100, 96.0) for n in range(9)]
    found = drawn(*spans, redis=(94.0, 97.0))
    assert len(found) == WATERFALLS_MOST
    assert [fall.why for fall in found].count("slowest") == 2
    assert [fall.why for fall in found].count("failed") == 2
    assert {fall.of for fall in found if fall.why == "fault"} == {"redis"}
    assert len({(fall.trace_id, fall.t_s, fall.step) for fall in found}) == WATERFALLS_MOST


def test_a_request_without_spans_of_the_platform_is_all_network() -> None:
    [fall] = drawn(sent(1, "a", "hold", 0.0, 2.0, "timeout"))
    assert ([bar.hop for bar in fall.bars], fall.ended) == (["client and network"], "timeout")


def test_only_the_longest_of_many_spans_are_shown_and_the_rest_is_counted() -> None:
    many = [span(1, f"c{n}", "b", "booking", "redis GET", n / 100, (n + 0.5) / 100, "client") for n in range(60)]
    [fall] = drawn(sent(1, "a", "look", 0.0, 1.0), span(1, "b", "a", "booking", "GET /seats", 0.0, 1.0), *many)
    assert (len(fall.bars), fall.left_out) == (BARS_MOST, 62 - BARS_MOST)
    assert [bar.from_ms for bar in fall.bars] == sorted(bar.from_ms for bar in fall.bars)


def test_spans_of_strangers_may_be_their_own_parents_or_without_end() -> None:
    """An OTLP exporter may send anything; it ends, and the time is still all accounted for."""
    deep = [span(1, f"d{n}", f"d{n - 1}" if n else "a", "shop", f"x{n}", 0.0, 1.0) for n in range(3000)]
    odd = [
        span(1, "a", "a", "shop", "takes the id of the request", 0.0, 1.0),
        span(1, "z", "z", "shop", "is its own parent", 0.0, 1.0),
        span(1, "d1", "d9", "shop", "once more", 0.0, 1.0),
        span(1, "late", "a", "shop", "another clock", 500.0, 501.0),
        {**span(1, "db", "a", "shop", "x", 0.2, 0.3, "client"), "attributes": '{"db.system": 7}'},
    ]
    [fall] = drawn(sent(1, "a", "look", 0.0, 1.0), *deep, *odd)
    assert sum(hop.share for hop in fall.hops) == pytest.approx(1.0)


def test_a_database_is_named_by_its_attribute() -> None:
    asked = span(1, "b", "a", "shop", "SELECT tickets", 0.0, 0.9, "client")
    [fall] = drawn(sent(1, "a", "look", 0.0, 1.0), asked | {"attributes": '{"db.system.name": "mariadb"}'})
    assert fall.hops[0].name == "shop → mariadb"


def test_a_whole_journey_is_told_in_its_order() -> None:
    spans = [sent(1, "b", "hold", 5.0, 5.1), sent(2, "c", "hold", 1.0, 1.1), sent(1, "a", "join", 0.0, 0.1)]
    tree = SpanTree(pa.Table.from_pylist(spans, schema=SPANS))
    assert [(fall.step, fall.t_s) for fall in journey(tree, "fan-000001")] == [("join", 0.0), ("hold", 5.0)]
    assert journey(tree, "fan-000009") == ()
