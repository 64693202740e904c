"""Spans of real processes: kept for whoever asks, over every hop, and for nobody else."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.target.conftest import Valkey, eventually
from tests.target.orders.test_orders_over_http import BASE, Platform
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, running

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-00"


def spans(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def platform(valkey: Valkey, truth: Truth, tmp_path: Path) -> Iterator[Platform]:
    path = tmp_path / "spans.jsonl"
    with running("payments", ledger_path=tmp_path / "l.sqlite", payment_time_ms=0, spans_path=path) as provider:
        settings = {
            "redis_url": valkey.url,
            "primary_dsn": truth.primary_dsn,
            "replica_dsn": truth.replica_dsn,
            "payments_url": f"http://127.0.0.1:{provider.port}",
            "spans_path": path,
        }
        with running("worker", **settings) as worker, running("booking", node="booking-7", **settings) as booking:
            eventually(lambda: booking.ask("GET", f"{BASE}/seats").json["source"] == "redis", why="the seats")
            yield Platform(booking, worker)


def served_by(path: Path, service: str) -> list[dict[str, Any]]:
    return [span for span in spans(path) if (span["service"], span["kind"]) == (service, "server")]


def test_a_booking_leaves_the_spans_of_its_whole_way(platform: Platform, tmp_path: Path) -> None:
    path, fan = tmp_path / "spans.jsonl", platform.fan("traced")
    hold_id = fan.hold("101-A-1")
    paid = fan.ask(
        "POST", f"{BASE}/orders", {"hold_id": hold_id, "card": "ok"}, Idempotency_Key="k", Traceparent=SAMPLED
    )
    assert paid.status == 201
    eventually(lambda: bool(served_by(path, "booking") and served_by(path, "payments")), why="both servers' spans")
    kept = spans(path)
    assert {span["trace_id"] for span in kept} == {TRACE}
    by_id = {span["span_id"]: span for span in kept}
    (paying,) = served_by(path, "booking")
    assert (paying["name"], paying["parent_id"], paying["node"]) == (f"POST {BASE}/orders", SPAN, "booking-7")
    assert paying["attributes"]["http.response.status_code"] == 201
    names = {span["name"] for span in kept}
    assert {"saga.lock", "saga.intend", "saga.charge", "redis EVALSHA", "db write", "payments POST"} <= names
    for span in kept:
        if span["span_id"] != paying["span_id"]:
            parent = by_id[span["parent_id"]]
            assert parent["start_ns"] <= span["start_ns"] <= span["end_ns"]
            if span["node"] == parent["node"]:  # a server may be at its last line when its caller has the answer
                assert span["end_ns"] <= parent["end_ns"]
    (charging,) = served_by(path, "payments")
    assert by_id[charging["parent_id"]]["name"] == "payments POST"
    assert by_id[by_id[charging["parent_id"]]["parent_id"]]["name"] == "saga.charge"


def test_nobody_else_leaves_any(platform: Platform, tmp_path: Path) -> None:
    for header in ({}, {"traceparent": UNSAMPLED}, {"traceparent": "nonsense"}):
        platform.booking.ask("GET", "/api/orders/none", **header)
    platform.booking.ask("GET", "/api/orders/none", traceparent=SAMPLED)
    eventually(lambda: bool(served_by(tmp_path / "spans.jsonl", "booking")), why="the one that is asked for")
    (only,) = served_by(tmp_path / "spans.jsonl", "booking")
    assert only["name"] == "GET /api/orders/{order_id}"


def test_a_token_in_a_path_is_not_in_a_span(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    token = "secret-token-in-a-path"
    platform.booking.ask("DELETE", f"/api/events/{EVENT}/holds/{token}", traceparent=SAMPLED)
    eventually(lambda: bool(spans(path)), why="the spans")
    assert token not in path.read_text()


def test_the_provider_joins_the_trace_of_its_caller(tmp_path: Path) -> None:
    path = tmp_path / "spans.jsonl"
    with running("payments", ledger_path=tmp_path / "l.sqlite", spans_path=path) as provider:
        provider.ask("GET", "/charges/by-key/k", traceparent=SAMPLED)
        provider.ask("GET", "/charges/by-key/k")
    (span,) = spans(path)  # a process that is told to stop hands over what it has
    assert (span["name"], span["trace_id"]) == ("GET /charges/by-key/{key}", TRACE)


class Collector(http.server.BaseHTTPRequestHandler):
    """An OTLP/HTTP collector that keeps what it is sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append((self.path, self.headers["content-type"], body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_spans_go_to_a_collector(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Collector) as collector:
        collector.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
            with running("payments", ledger_path=tmp_path / "l.sqlite", spans_url=url) as provider:
                provider.ask("GET", "/charges/by-key/k", traceparent=SAMPLED)
            ((path, kind, body),) = collector.received  # type: ignore[attr-defined]
        finally:
            collector.shutdown()
            thread.join()
    assert (path, kind) == ("/v1/traces", "application/x-protobuf")
    assert bytes.fromhex(TRACE) in body
    assert b"gatecrash-payments" in body


def test_a_collector_that_is_away_harms_nobody(tmp_path: Path) -> None:
    with running("payments", ledger_path=tmp_path / "l.sqlite", spans_url="http://127.0.0.1:9/v1/traces") as provider:
        assert provider.ask("GET", "/charges/by-key/k", traceparent=SAMPLED).status == 404
        assert provider.ask("GET", "/healthz").status == 200
