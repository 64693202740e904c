"""Batches in, tables out; counted from what is in the record."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.platform import Person
from harness.record.paths import RunPaths
from harness.record.schema import PROBE_ACTOR, TABLES, Function, Outcome
from harness.record.writer import StreamWriter
from harness.swarm.control.collector import Collector
from harness.swarm.messaging.messages import Batch
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from tests.harness.swarm.client.test_http import NOW, PERSON

T0 = ReleaseInstant(0.0, 0.0)


@pytest.fixture
def paths(tmp_path) -> RunPaths:
    return RunPaths(root=tmp_path)


def requests_of(worker: int, seqs: list[int]) -> pa.RecordBatch:
    recorder = Recorder(worker)
    for seq in seqs:
        row = RequestRow(seq, 1, "fan", "fan-1", "join", "", "POST", 0.0, 0.0, 0.1, 0.2, 201, "ok", "", 3, 1, None)
        recorder.request(row)
    return recorder.take(T0)["requests"]


def batch_of(worker: int, table: str, number: int, rows: pa.RecordBatch) -> Batch:
    return Batch(worker=worker, table=table, number=number, data=rows.serialize().to_pybytes())


def test_tables_hold_what_the_workers_sent(paths: RunPaths) -> None:
    collector = Collector(paths)
    collector.add(batch_of(1, "requests", 0, requests_of(1, [0, 1])))
    collector.add(batch_of(2, "requests", 0, requests_of(2, [0])))
    assert (collector.requests, collector.tally(1).samples, collector.tally(2).samples) == (3, 2, 1)
    assert collector.has_all(1, {"requests": 1})
    assert not collector.has_all(1, {"requests": 2})
    collector.finish()
    table = pq.read_table(paths.table("requests"))
    assert sorted(zip(table["worker"].to_pylist(), table["seq"].to_pylist(), strict=True)) == [(1, 0), (1, 1), (2, 0)]
    assert pq.read_table(paths.table("events")).num_rows == 0


def test_a_row_that_came_twice_is_one_sample(paths: RunPaths) -> None:
    collector = Collector(paths)
    for number in range(2):
        collector.add(batch_of(1, "requests", number, requests_of(1, [0, 1])))
    assert collector.tally(1).samples == 2
    assert collector.tally(1).last_seq == 1


def test_what_a_dead_worker_had_not_sent_is_taken_from_its_disk_up_to_where_it_was_cut(paths: RunPaths) -> None:
    with StreamWriter(paths.spool("requests", 1), TABLES["requests"]) as spool:
        for seqs in ([0, 1], [2, 3], [4]):
            spool.append(requests_of(1, seqs))
    whole = paths.spool("requests", 1).read_bytes()
    paths.spool("requests", 1).write_bytes(whole[:-60])
    collector = Collector(paths)
    collector.add(batch_of(1, "requests", 0, requests_of(1, [0, 1])))
    assert collector.recover(1) == 2
    assert collector.tally(1).samples == 4
    collector.finish()
    assert not paths.spool("requests", 1).exists()


def test_acked_orders_and_held_seats_are_remembered_for_settling(paths: RunPaths) -> None:
    recorder = Recorder(1)
    for outcome in Outcome:
        seats = {"seats": [f"1-A-{outcome}"]}
        recorder.begin(PERSON, Function.HOLD, NOW, value=seats).end(outcome, t_end_s=1.0)
        order = {**seats, "order_id": f"o-{outcome}", "state": "pending"}
        recorder.begin(PERSON, Function.PAY, NOW, value=order).end(outcome, t_end_s=1.0)
    collector = Collector(paths)
    collector.add(batch_of(1, "operations", 0, recorder.take(T0)["operations"]))
    assert collector.seats_held == {"1-A-ok", "1-A-unknown"}
    assert [(one.order_id, one.actor) for one in collector.acked.values()] == [("o-ok", PERSON.actor)]
    assert collector.outcomes["hold ok"] == collector.outcomes["pay fail"] == 1


def test_probes_are_not_among_the_outcomes_that_are_told_but_what_they_held_is_swept(paths: RunPaths) -> None:
    recorder, actor = Recorder(1), f"{PROBE_ACTOR}1"
    probe = Person(user=-2, kind="probe", actor=actor, identity=actor)
    recorder.begin(probe, Function.HOLD, NOW, value={"seats": ["1-A-1"]}).end(Outcome.OK, t_end_s=1.0)
    collector = Collector(paths)
    collector.add(batch_of(1, "operations", 0, recorder.take(T0)["operations"]))
    assert collector.outcomes.total() == 0
    assert collector.seats_held == {"1-A-1"}


def test_what_comes_after_the_tables_are_whole_is_let_go(paths: RunPaths) -> None:
    collector = Collector(paths)
    collector.finish()
    collector.add(batch_of(1, "requests", 0, requests_of(1, [0])))
    collector.finish()
    assert pq.read_table(paths.table("requests")).num_rows == 0
    assert not paths.live_table("requests").exists()
