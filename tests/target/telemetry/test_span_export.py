"""Spans on their way to a file: bounded in memory and on disk, and what is dropped is told there."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from target.settings import Settings
from target.telemetry import span_export, tracing
from target.telemetry.span_export import Outlet, SpanFile
from target.telemetry.spans import Caller, Span
from target.telemetry.tracing import caller_of, leave, outgoing_headers, span, within

CALLER = Caller("a" * 32, "b" * 16, sampled=True)


def ended(count: int) -> list[Span]:
    return [Span((), CALLER, f"step {number}", "internal") for number in range(count)]


@pytest.fixture
def traced(tmp_path: Path) -> Iterator[Path]:
    tracing.configure(Settings(spans_path=str(tmp_path / "spans.jsonl"), node="n"), "booking")
    before = within(CALLER)
    try:
        yield tmp_path / "spans.jsonl"
    finally:
        leave(before)
        tracing.shutdown()


def test_a_step_that_fails_names_the_error_and_its_parent(traced: Path) -> None:
    with suppress(KeyError), span("saga"), span("redis GET", "client") as asking:
        assert asking is not None
        assert caller_of(outgoing_headers()["traceparent"]) == Caller("a" * 32, asking.span_id, sampled=True)
        raise KeyError("secret")
    tracing.shutdown()
    inner, outer = map(json.loads, traced.read_text().splitlines())
    assert (outer["trace_id"], outer["parent_id"], inner["parent_id"]) == ("a" * 32, "b" * 16, outer["span_id"])
    assert (inner["kind"], inner["status"], inner["attributes"]) == ("client", "error", {"error.type": "KeyError"})
    assert outer["start_ns"] <= inner["start_ns"] <= inner["end_ns"] <= outer["end_ns"]


def test_what_finds_no_room_in_memory_is_dropped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "WAITING_MAX", 10)
    monkeypatch.setattr(span_export, "FLUSH_S", 3600.0)
    exported: list[Span] = []
    told: list[int] = []

    def export(batch: Sequence[Span]) -> bool:
        exported.extend(batch)
        return True

    outlet = Outlet(export, told.append)
    spans = ended(13)
    for one in spans:
        outlet.add(one)
    outlet.close()
    assert (exported, told) == (spans[:10], [3])


def test_a_full_file_takes_no_more_spans_but_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spans.jsonl"
    file = SpanFile(str(path), service="booking", node="n")
    assert file.export(ended(1))
    monkeypatch.setattr(span_export, "FILE_BYTES_MAX", path.stat().st_size)
    outlet = Outlet(file.export, file.tell_dropped)
    for one in ended(5):
        outlet.add(one)
    outlet.close()
    first, last = map(json.loads, path.read_text().splitlines())
    assert (first["name"], last) == ("step 0", {"dropped": 5})


def test_no_span_is_lost_between_two_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_export, "FLUSH_S", 0.0)
    exported: list[Span] = []
    more = threading.Event()

    def export(batch: Sequence[Span]) -> bool:
        exported.extend(batch)
        more.set()
        return True

    outlet = Outlet(export)
    spans = ended(5000)
    for one in spans:
        outlet.add(one)
    assert more.wait(10)
    outlet.close()
    assert exported == spans
