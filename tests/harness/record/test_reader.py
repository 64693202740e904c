"""A record is read whole, marked incomplete, or refused in one line; never silently wrong."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import ExitCode, InputError
from harness.record.paths import RunPaths
from harness.record.reader import CORE_TABLES, Record
from harness.record.schema import EVENTS, TABLES, RunDocument
from harness.record.writer import StreamWriter, write_document
from tests.builders import RunBuilder

on_one_directory = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return RunBuilder(fans=8, spectators=2).write(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(template: RunPaths, tmp_path: Path) -> RunPaths:
    shutil.copytree(template.root, tmp_path / "run")
    return RunPaths(root=tmp_path / "run")


def refused(root: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        Record.open(root)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
    assert caught.value.hint
    assert "\n" not in str(caught.value)
    return caught.value


def unseal(run: RunPaths, *, complete: bool = True) -> None:
    """run.json as it was before the run ended."""
    document = msgspec.json.decode(run.run.read_bytes(), type=RunDocument)
    write_document(
        run.run, msgspec.structs.replace(document, tables={}, faults_sha256="", sealed="", complete=complete)
    )


def unfinish(run: RunPaths, name: str, rows: pa.Table) -> None:
    """As a run leaves a table that it never finished: a live stream in batches of four, no Parquet."""
    unseal(run)
    run.table(name).unlink()
    with StreamWriter(run.live_table(name), TABLES[name]) as writer:
        for batch in rows.to_batches(max_chunksize=4):
            writer.append(batch)


def test_what_was_written_is_read_back(run: RunPaths) -> None:
    record = Record.open(run.root)
    assert record.run.complete
    assert record.run.anomalies == ()
    assert [fault.experiment for fault in record.faults.faults] == [
        "redis-down",
        "db-unreachable",
        "payment-latency-8s",
        "websocket-drops",
    ]
    for name, schema in TABLES.items():
        assert record.has(name)
        assert record.table(name).schema.equals(schema)
    assert record.table("requests").num_rows == record.run.load.samples_recorded


def test_the_digest_names_every_file_that_was_read(run: RunPaths) -> None:
    digest = Record.open(run.root).digest()
    assert set(digest) == {"run.json", "faults.json", *(f"{name}.parquet" for name in TABLES)}
    assert digest["run.json"] == hashlib.sha256(run.run.read_bytes()).hexdigest()


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert "no run directory here" in str(refused(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["run.json", "faults.json", *(f"{table}.parquet" for table in CORE_TABLES)])
def test_a_missing_part_of_a_complete_run_is_refused_by_name(run: RunPaths, name: str) -> None:
    (run.root / name).unlink()
    assert str(refused(run.root).file).endswith(name)
    unseal(run) if name != "run.json" else None
    error = refused(run.root)
    assert "missing" in str(error)
    assert str(error.file).endswith(name)


def test_what_the_platform_does_not_show_may_be_missing(tmp_path: Path) -> None:
    builder = RunBuilder(fans=8, spectators=2)
    del builder.tables["final_ledger"]
    record = Record.open(builder.write(tmp_path / "run").root)
    assert record.run.complete
    assert not record.has("final_ledger")
    assert record.table("final_ledger").num_rows == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": "gatecrash.record/5"}', b"\xff\xfe", b"null"])
@pytest.mark.parametrize("name", ["run.json", "faults.json"])
def test_a_document_that_is_none_is_refused(run: RunPaths, name: str, content: bytes) -> None:
    (run.root / name).write_bytes(content)
    assert f"is no {name} of a run" in str(refused(run.root))


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ("gatecrash.record/1", "is a record/1, written by an earlier gatecrash"),
        ("gatecrash.record/9", "is a record/9, written by a later gatecrash"),
        ("gatecrash.verdict/1", "has the schema 'gatecrash.verdict/1', expected 'gatecrash.record/5'"),
        ("gatecrash.record/" + "9" * 5000, "has the schema"),
    ],
)
@pytest.mark.parametrize("name", ["run.json", "faults.json"])
def test_a_record_of_another_version_is_refused(run: RunPaths, name: str, schema: str, complaint: str) -> None:
    file = run.root / name
    file.write_text(file.read_text().replace("gatecrash.record/5", schema))
    unseal(run) if name == "faults.json" else None
    assert complaint in str(refused(run.root))


def test_a_record_of_an_earlier_version_is_refused_whatever_fields_it_has(run: RunPaths) -> None:
    run.run.write_text('{"schema": "gatecrash.record/1", "field_of_old": 1}')
    error = refused(run.root)
    assert "judge it with the version that wrote it, or rehearse again" in str(error)
    assert (error.exit_code, len(str(error).splitlines())) == (2, 1)


def altered_tables(table: pa.Table) -> Iterator[tuple[pa.Table, str]]:
    yield table.drop_columns(["seat"]), "has no column seat"
    yield table.append_column("colour", pa.array(["red"] * table.num_rows)), "colour"
    numbers = pa.array(range(table.num_rows))
    yield table.set_column(1, "state", numbers), "column has the type int64, expected string"
    nulls = pa.array([None] * table.num_rows, pa.string())
    yield table.set_column(1, "state", nulls), "column has nulls where none are allowed"


def test_a_table_with_other_columns_is_refused_by_column(run: RunPaths) -> None:
    unseal(run)
    path = run.table("final_seats")
    for table, complaint in altered_tables(pq.read_table(path)):
        pq.write_table(table, path)
        assert complaint in str(refused(run.root))


@on_one_directory
@given(content=st.binary(max_size=200))
def test_a_foreign_file_is_refused(run: RunPaths, content: bytes) -> None:
    run.table("operations").write_bytes(content)
    assert "is no readable Parquet file" in str(refused(run.root))


@on_one_directory
@given(data=st.data())
def test_a_truncated_table_is_refused(template: RunPaths, run: RunPaths, data: st.DataObject) -> None:
    whole = template.table("operations").read_bytes()
    run.table("operations").write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    refused(run.root)


@on_one_directory
@given(data=st.data())
def test_a_corrupt_page_is_refused(template: RunPaths, run: RunPaths, data: st.DataObject) -> None:
    """Any byte of any compressed page."""
    whole = bytearray(template.table("operations").read_bytes())
    columns = pq.ParquetFile(template.table("operations")).metadata.row_group(0)
    column = columns.column(data.draw(st.integers(0, columns.num_columns - 1)))
    end = column.data_page_offset + 1
    start = column.dictionary_page_offset or column.data_page_offset
    last = start + column.total_compressed_size - 1
    at = data.draw(st.integers(min(end + 60, last), last))  # beyond the page header
    whole[at] ^= data.draw(st.integers(1, 255))
    run.table("operations").write_bytes(bytes(whole))
    refused(run.root)


@on_one_directory
@given(cut=st.integers(0, 4000))
def test_a_crashed_run_is_read_up_to_its_last_whole_batch_and_marked(
    template: RunPaths, run: RunPaths, cut: int
) -> None:
    rows = Record.open(template.root).table("requests")
    if run.table("requests").exists():
        unfinish(run, "requests", rows)
        (run.root / "whole").write_bytes(run.live_table("requests").read_bytes())
    whole = (run.root / "whole").read_bytes()
    header = 1500  # the stream's schema; a run that crashed within it wrote no row
    run.live_table("requests").write_bytes(whole[: max(header, len(whole) - cut)])
    record = Record.open(run.root)
    found = record.table("requests")
    assert found.equals(rows.slice(0, found.num_rows))
    assert not record.run.complete
    assert [anomaly.source for anomaly in record.run.anomalies] == ["run.json", "requests"]
    assert "requests.arrows" in record.digest()


def test_an_unfinished_run_that_wrote_nothing_can_be_opened(run: RunPaths) -> None:
    unseal(run, complete=False)
    run.faults.unlink()
    for name in TABLES:
        run.table(name).unlink()
    run.live_table("events").touch()
    record = Record.open(run.root)
    assert not record.run.complete
    marked = {anomaly.source for anomaly in record.run.anomalies}
    assert marked == {"run.json", "faults.json", *CORE_TABLES}


def test_spools_and_live_stream_are_merged_without_counting_a_row_twice(run: RunPaths) -> None:
    rows = Record.open(run.root).table("events")
    unseal(run)
    run.table("events").unlink()
    half = rows.num_rows // 2
    for path, part in (
        (run.live_table("events"), rows.slice(0, half + 5)),
        (run.spool("events", 1), rows.slice(half)),
    ):
        with StreamWriter(path, TABLES["events"]) as writer:
            for batch in part.to_batches():
                writer.append(batch)
    record = Record.open(run.root)
    assert record.table("events").to_pylist() == rows.to_pylist()
    assert not record.run.complete
    assert "spool/events-1.arrows" in record.digest()


def test_a_record_without_any_event_has_no_rows_of_a_stream(tmp_path: Path) -> None:
    built = RunBuilder(fans=4)
    built.tables["events"] = []
    record = Record.open(built.write(tmp_path / "run").root)
    for encoded in (False, True):
        rows = record.stream_rows("feed", ["t_s", "key"], encoded=encoded)
        assert (rows.column_names, rows.num_rows) == (["t_s", "key"], 0)


def test_the_rows_of_a_stream_are_those_of_the_table(run: RunPaths) -> None:
    events = Record.open(run.root).table("events")
    for stream in ("feed", "positions"):
        expected = events.filter(pc.equal(events["stream"], stream))
        rows = Record.open(run.root).stream_rows(stream, EVENTS.names)
        assert rows.num_rows
        assert rows.schema.equals(EVENTS)
        assert rows.to_pylist() == expected.to_pylist()
        encoded = Record.open(run.root).stream_rows(stream, ["key", "t_s"], encoded=True)
        assert encoded.to_pylist() == expected.select(["key", "t_s"]).to_pylist()
