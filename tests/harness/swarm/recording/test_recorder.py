"""Rows become batches of the record's own schema, with times relative to T0."""

from __future__ import annotations

from time import monotonic

import pytest

from harness.platform import Call
from harness.record.schema import TABLES, Function, Outcome
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import ROW_TYPES, EventRow
from tests.harness.swarm.client.test_http import NOW, PERSON

T0 = ReleaseInstant(monotonic_s=100.0, wall_s=1_700_000_000.0)


def event_row(t_s: float, at: float | None) -> EventRow:
    return EventRow(7, "fan", "fan-000007", "feed", "seat", t_s, at, "e1", 12, 2, "104-C-12")


@pytest.mark.parametrize("name", ROW_TYPES)
def test_a_row_has_the_columns_of_its_table_in_their_order(name: str) -> None:
    assert list(ROW_TYPES[name].__struct_fields__) == [column for column in TABLES[name].names if column != "worker"]


def test_instants_become_relative_to_t0_each_by_its_own_clock() -> None:
    recorder = Recorder(2)
    recorder.event(event_row(101.5, 1_700_000_001.25))
    recorder.event(event_row(99.0, None))
    batch = recorder.take(T0)["events"]
    assert batch.schema.equals(TABLES["events"])
    assert batch["t_s"].to_pylist() == [1.5, -1.0]
    assert batch["t_sent_s"].to_pylist() == [pytest.approx(1.25), None]
    assert batch["worker"].to_pylist() == [2, 2]


def test_a_batch_holds_what_came_since_the_last_one() -> None:
    recorder = Recorder(1)
    recorder.event(event_row(101.0, None))
    assert set(recorder.take(T0)) == {"events"}
    assert recorder.take(T0) == {}


def test_an_operation_is_written_when_it_ends() -> None:
    recorder = Recorder(1)
    began = monotonic()
    call = Call(t_intended_s=began - 2.0, attempt=3, retry_of=4)
    operation = recorder.begin(PERSON, Function.HOLD, call, value={"seats": ["1-A-1"]})
    assert recorder.take(T0) == {}
    operation.end(Outcome.OK, key="h1", value={"seats": ["1-A-1"], "ttl_s": 8.0}, t_end_s=began + 1.0)
    (row,) = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert (row["actor"], row["identity"], row["function"]) == ("fan-000007", "person-000007", "hold")
    assert (row["key"], row["value"], row["outcome"]) == ("h1", '{"seats":["1-A-1"],"ttl_s":8.0}', "ok")
    assert (row["retry_of"], row["t_intended_s"], row["t_complete_s"]) == (4, began - 2.0, began + 1.0)
    assert began <= row["t_invoke_s"] <= monotonic()


def test_the_calls_of_an_operation_carry_its_number_and_are_otherwise_as_given() -> None:
    recorder = Recorder(1)
    first, second = (recorder.begin(PERSON, Function.HOLD, NOW, value={}) for _ in range(2))
    assert (first.op, second.op, NOW.op) == (0, 1, None)
    given = Call(t_intended_s=5.0, attempt=3, retry_of=0)
    assert recorder.begin(PERSON, Function.HOLD, given, value={}).call == Call(
        t_intended_s=5.0, attempt=3, retry_of=0, op=2
    )
    before = monotonic()
    further = second.call_now()
    assert (further.op, further.attempt) == (1, 1)
    assert before <= further.t_intended_s <= monotonic()


def test_an_operation_that_was_prepared_counts_from_its_invocation() -> None:
    recorder = Recorder(1)
    operation = recorder.begin(PERSON, Function.JOIN, NOW, value={})
    prepared_s = monotonic()
    operation.invoke()
    operation.end(Outcome.OK, t_end_s=monotonic())
    (row,) = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert row["t_intended_s"] == NOW.t_intended_s
    assert row["t_invoke_s"] >= prepared_s


def test_an_unknown_operation_never_completed() -> None:
    recorder = Recorder(1)
    recorder.begin(PERSON, Function.PAY, NOW, key="k", value={}).end(Outcome.UNKNOWN, error="timeout", t_end_s=105.0)
    (row,) = recorder.take(T0)["operations"].to_pylist()
    assert (row["t_complete_s"], row["error"]) == (None, "timeout")


def test_what_is_in_flight_at_the_end_is_unknown() -> None:
    recorder = Recorder(1)
    recorder.begin(PERSON, Function.JOIN, NOW, value={}).end(Outcome.OK, t_end_s=1.0)
    recorder.begin(PERSON, Function.HOLD, NOW, value={"seats": ["1-A-1"]})
    assert recorder.cut_operations() == 1
    rows = recorder.take(T0)["operations"].to_pylist()
    assert [(row["outcome"], row["error"]) for row in rows] == [("ok", ""), ("unknown", "stopped")]
    assert recorder.cut_operations() == 0
