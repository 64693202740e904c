"""What was appended can be read at once and survives a crash; what could not be written is said."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import EnvironmentProblem
from harness.record.paths import RunPaths
from harness.record.schema import FINAL_SEATS, SCHEMA_VERSION, FaultsDocument
from harness.record.writer import StreamWriter, TableWriter, create_run, write_document

FREE = {"seat": "101-A-1", "state": "free"}


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(root=tmp_path)


def test_rows_can_be_read_while_the_table_is_still_being_written(paths: RunPaths) -> None:
    writer = TableWriter(paths, "final_seats")
    writer.append([FREE, FREE])
    writer.append(pa.RecordBatch.from_pylist([FREE], schema=FINAL_SEATS))
    with pa.OSFile(str(paths.live_table("final_seats"))) as live:
        stream = pa.ipc.open_stream(live)
        assert [stream.read_next_batch().num_rows for _ in range(2)] == [2, 1]
    writer.close()


def test_finish_leaves_parquet_with_the_schema_and_nothing_else(paths: RunPaths) -> None:
    writer = TableWriter(paths, "final_seats")
    writer.append([FREE] * 5)
    table = pq.read_table(writer.finish())
    assert table.schema.equals(FINAL_SEATS)
    assert table.num_rows == 5
    assert [path.name for path in paths.root.iterdir()] == ["final_seats.parquet"]


def test_an_empty_table_is_a_table(paths: RunPaths) -> None:
    assert pq.read_table(TableWriter(paths, "metrics").finish()).num_rows == 0


def test_a_killed_process_loses_nothing_that_it_had_appended(paths: RunPaths) -> None:
    program = (
        "import os, signal; from pathlib import Path\n"
        "from harness.record.paths import RunPaths; from harness.record.writer import TableWriter\n"
        f"writer = TableWriter(RunPaths(root=Path({str(paths.root)!r})), 'final_seats')\n"
        "for i in range(7): writer.append([{'seat': str(i), 'state': 'free'}])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    with pa.OSFile(str(paths.live_table("final_seats"))) as live:
        stream = pa.ipc.open_stream(live)
        assert [stream.read_next_batch()["seat"][0].as_py() for _ in range(7)] == list("0123456")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_says_what_is_lost_each_time(paths: RunPaths) -> None:
    paths.live_table("final_seats").symlink_to("/dev/full")
    writer = TableWriter(paths, "final_seats")
    with pytest.raises(EnvironmentProblem, match=r"No space left on device; 2 rows are lost, 0 before them are kept"):
        writer.append([FREE, FREE])
    with pytest.raises(EnvironmentProblem, match=r"3 rows are lost"):
        writer.append([FREE])
    with pytest.raises(EnvironmentProblem, match=r"3 rows are lost"):
        writer.finish()


def test_a_place_that_cannot_be_written_is_an_environment_problem(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        StreamWriter(file / "t.arrows", FINAL_SEATS)
    with pytest.raises(EnvironmentProblem, match="cannot be made"):
        create_run(file, "smoke", datetime.now(UTC))
    with pytest.raises(EnvironmentProblem, match="cannot be written"):
        write_document(file / "run.json", FaultsDocument(schema=SCHEMA_VERSION, faults=()))


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"seat": "101-A-1"}, "null where none is allowed: state"),
        (FREE | {"price": 1}, "no such column: price"),
    ],
)
def test_rows_that_the_schema_does_not_allow_are_refused(
    paths: RunPaths, row: dict[str, object], complaint: str
) -> None:
    with TableWriter(paths, "final_seats") as writer, pytest.raises(ValueError, match=complaint):
        writer.append([row])


def test_a_batch_of_another_table_is_refused(paths: RunPaths) -> None:
    batch = pa.RecordBatch.from_pylist([{"seat": "101-A-1"}])
    with TableWriter(paths, "final_seats") as writer, pytest.raises(ValueError, match="or their types differ"):
        writer.append(batch)


def test_a_document_is_replaced_whole(paths: RunPaths) -> None:
    document = FaultsDocument(schema=SCHEMA_VERSION, faults=())
    for _ in range(2):
        write_document(paths.faults, document)
    assert msgspec.json.decode(paths.faults.read_bytes(), type=FaultsDocument) == document
    assert [path.name for path in paths.root.iterdir()] == ["faults.json"]


def test_the_run_id_tells_when_and_what(tmp_path: Path) -> None:
    now = datetime(2026, 11, 23, 10, 15, tzinfo=UTC)
    runs = {create_run(tmp_path / "runs", "Playoff Presale!", now).root.name for _ in range(20)}
    assert len(runs) == 20
    assert all(re.fullmatch(r"20261123-101500-playoff-presale-[0-9a-f]{4}", run) for run in runs)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_may_read_a_run_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        run = create_run(tmp_path / "runs", "smoke", datetime.now(UTC))
    finally:
        os.umask(before)
    assert run.root.stat().st_mode & 0o777 == 0o700
    assert run.root.parent.stat().st_mode & 0o777 == 0o777 & ~umask  # who shares it may share the folder of runs
