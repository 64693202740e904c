"""What a finished run wrote is sealed: any table that is not as it was is refused, by what is wrong with it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ExitCode, InputError
from harness.record.paths import RunPaths
from harness.record.reader import Record
from harness.record.schema import TABLES, Anomaly, RunDocument
from harness.record.writer import TableWriter, write_document
from harness.rehearsal.journal import RunJournal
from harness.scenario import Scenario
from tests.builders import RunBuilder, whole_rows

Damage = Callable[[pa.Table], pa.Table]
HISTOGRAM = {
    "worker": 0, "t_s": 1.0, "kind": "fan", "step": "hold", "method": "POST", "status": 201, "outcome": "ok",
    "error": "", "attempt": 1, "service": [1000], "response": [1000],
}  # fmt: skip
STRETCH = {
    "worker": 0, "user": 0, "kind": "spectator", "actor": "spectator-000000", "epoch": "e", "t_from_s": 1.0,
    "t_to_s": 1.5, "delay_ms_max": 3.0,
}  # fmt: skip
DELAYS = {"worker": 0, "t_sent_s": 1.0, "base_s": 0.001, "count": 1}
SPAN = {
    "trace_id": "a" * 32, "parent_id": "", "service": "booking", "node": "booking", "name": "hold", "kind": "server",
    "t_start_s": 1.0, "t_end_s": 1.1, "status": "ok", "attributes": "{}",
}  # fmt: skip


def builder(seed: int = 1) -> RunBuilder:
    """A run whose every table has several rows, no two of them the same."""
    built = RunBuilder(fans=8, spectators=2, seed=seed)
    built.tables["histograms"] = [HISTOGRAM | {"count": [count]} for count in (1, 2, 3, 4)]
    built.tables["feed_stretches"] = [STRETCH | {"seq_from": number, "seq_to": number} for number in range(1, 5)]
    built.tables["feed_delays"] = [DELAYS | {"more_us": number * 1000} for number in range(4)]
    built.tables["spans"] = [SPAN | {"span_id": f"{number:016x}"} for number in range(4)]
    pools = [{"pool": f"pool-{number}", "free": number, "held": None, "sold": seed} for number in range(4)]
    built.tables["final_stock"] = built.tables["baseline_stock"] = pools
    built.tables["baseline_orders"] = [
        order | {"order_id": f"old-{n}"} for n, order in enumerate(built.tables["final_orders"])
    ]
    built.tables["baseline_ledger"] = [
        entry | {"charge_id": f"old-{n}"} for n, entry in enumerate(built.tables["final_ledger"])
    ]
    built.changed(run_id=f"20261123-10150{seed}-paper-1a2b")
    assert all(len(built.tables[name]) > 2 for name in TABLES)
    return built


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return builder().write(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return builder(seed=2).write(tmp_path_factory.mktemp("runs") / "foreign")


@pytest.fixture
def run(template: RunPaths, tmp_path: Path) -> RunPaths:
    shutil.copytree(template.root, tmp_path / "run")
    return RunPaths(root=tmp_path / "run")


def refusal(run: RunPaths, name: str) -> str:
    """Why the record is not opened, for that file."""
    with pytest.raises(InputError) as caught:
        Record.open(run.root)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert str(caught.value.file).endswith(name)
    assert caught.value.hint
    return str(caught.value)


def cut_end(table: pa.Table) -> pa.Table:
    return table.slice(0, table.num_rows - 1)


def cut_middle(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(2)])


def doubled(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table.slice(table.num_rows - 1)])


def doubled_and_cut(table: pa.Table) -> pa.Table:
    return pa.concat_tables([table.slice(0, 1), table.slice(0, table.num_rows - 1)])


def reordered(table: pa.Table) -> pa.Table:
    return table.take(np.arange(table.num_rows)[::-1])


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (cut_end, "rows, but the run wrote"),
        (cut_middle, "rows, but the run wrote"),
        (doubled, "rows, but the run wrote"),
        (doubled_and_cut, "has changed since the run wrote it"),
        (reordered, "has changed since the run wrote it"),
    ],
)
def test_rows_that_are_cut_doubled_or_moved_are_seen(run: RunPaths, name: str, damage: Damage, complaint: str) -> None:
    path = run.table(name)
    pq.write_table(damage(pq.read_table(path)), path, compression="zstd")
    assert complaint in refusal(run, path.name)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_another_run_is_refused_by_the_name_of_that_run(run: RunPaths, foreign: RunPaths, name: str) -> None:
    shutil.copy(foreign.table(name), run.table(name))
    complaint = "is of the run 20261123-101502-paper-1a2b, not of 20261123-101501-paper-1a2b"
    assert complaint in refusal(run, run.table(name).name)


@pytest.mark.parametrize("name", TABLES)
def test_a_missing_table_is_refused_unless_the_run_never_wrote_it(run: RunPaths, name: str) -> None:
    run.table(name).unlink()
    assert "missing: the run wrote it, with" in refusal(run, run.table(name).name)


@pytest.mark.parametrize("name", TABLES)
def test_a_flipped_byte_anywhere_in_a_table_is_seen(template: RunPaths, run: RunPaths, name: str) -> None:
    whole = template.table(name).read_bytes()
    for at in (*range(0, len(whole), max(1, len(whole) // 8)), len(whole) - 1):
        flipped = bytearray(whole)
        flipped[at] ^= 0x10
        run.table(name).write_bytes(flipped)
        refusal(run, run.table(name).name)


@pytest.mark.parametrize("name", ["final_seats", "final_orders", "final_ledger", "spans"])
def test_a_table_that_the_run_never_wrote_is_refused(tmp_path: Path, template: RunPaths, name: str) -> None:
    built = builder()
    del built.tables[name]
    run = built.write(tmp_path / "run")
    assert not Record.open(run.root).has(name)
    shutil.copy(template.table(name), run.table(name))
    assert "this run wrote no such table" in refusal(run, run.table(name).name)


def test_the_documents_are_sealed_as_well(run: RunPaths, foreign: RunPaths) -> None:
    whole = run.run.read_text()
    run.run.write_text(whole.replace('"seed": 1', '"seed": 7', 1))
    assert "has changed since the run wrote it" in refusal(run, "run.json")
    shutil.copy(foreign.run, run.run)
    assert "not of 20261123-101502-paper-1a2b" in refusal(run, ".parquet")
    run.run.write_text(whole)
    faults = run.faults.read_text()
    run.faults.write_text(faults.replace('"proven": true', '"proven": false', 1))
    assert "is not the one that this run wrote" in refusal(run, "faults.json")
    run.faults.unlink()
    assert "missing" in refusal(run, "faults.json")


def test_a_record_from_before_a_field_was_there_is_whole_and_guarded_as_well(run: RunPaths) -> None:
    document = json.loads(run.run.read_bytes())
    del document["load"]["cut"]
    content = msgspec.json.encode(document | {"sealed": ""})
    document["sealed"] = f"sha256:{hashlib.sha256(b'gatecrash run' + bytes(1) + content).hexdigest()}"
    run.run.write_text(json.dumps(document))
    assert Record.open(run.root).run.complete
    run.run.write_text(json.dumps(document | {"seed": 7}))
    assert "has changed since the run wrote it" in refusal(run, "run.json")


def test_a_record_without_seals_is_incomplete(run: RunPaths) -> None:
    document = msgspec.json.decode(run.run.read_bytes(), type=RunDocument)
    write_document(run.run, msgspec.structs.replace(document, tables={}, faults_sha256="", sealed=""))
    record = Record.open(run.root)
    assert not record.run.complete
    assert "never sealed" in record.run.anomalies[-1].text


def test_a_run_is_sealed_when_it_ends_and_again_when_something_is_noted_after_that(tmp_path: Path) -> None:
    root = tmp_path / "20261123-101500-paper-1a2b"
    root.mkdir()
    paths = RunPaths(root=root)
    scenario = Scenario(name="paper", description="On paper.", duration_s=1.0)
    journal = RunJournal(paths, scenario, ("gatecrash",), {}, "embedded")
    built = builder()
    for name, rows in built.tables.items():
        writer = TableWriter(paths, name)
        writer.append(whole_rows(name, rows))
        writer.finish()
    assert not msgspec.json.decode(paths.run.read_bytes(), type=RunDocument).sealed
    journal.complete()
    assert Record.open(root).run.complete
    journal.note(Anomaly(t_s=None, source="gatecrash", text="one thing more"))
    record = Record.open(root)
    assert record.run.complete
    assert record.table("operations").num_rows == len(built.tables["operations"])
