"""A disk that runs full during a run: the run goes on, and what is missing is stated."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.record.paths import RunPaths
from harness.swarm.messaging.protocol import Armed, FailureMessage, Finished, ReleaseCommand, Settle, Settled, SwarmSpec
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import running, shop_spec
from tests.harness.swarm.test_swarm import shop

FULL = Path("/dev/full")  # takes nothing, as a full disk does, and needs no rights


@contextmanager
def tiny_disk(at: Path, kibibytes: int) -> Iterator[Path]:
    """A disk of that size; the test is skipped where none can be made."""
    if os.geteuid() != 0:
        pytest.skip("a disk of one's own needs root")
    at.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(at)]
    made = subprocess.run(mount, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no disk can be made: {made.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def full(path: Path) -> None:
    """From now on that file is on a full disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(FULL)


def run_of(spec: SwarmSpec) -> tuple[Finished, Settled | FailureMessage, int]:
    """How the journeys and the settling ended, and the swarm's exit code."""
    with running(spec) as swarm:
        swarm.expect(Armed)
        swarm.tell(ReleaseCommand())
        finished = swarm.expect(Finished)
        swarm.tell(Settle())
        last = swarm.next()
        return finished, last, swarm.ended()


def test_a_disk_that_runs_full_loses_rows_and_says_which(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "disk", 300) as disk, serving(shop) as server:
        spec = shop_spec(server.url, disk / "run", customer="Loiterer", duration_s=3.0, workers=1)
        finished, last, code = run_of(spec)
        answered = len(server.asked)
    assert isinstance(last, FailureMessage)
    assert code == last.exit_code == 3
    assert "the record is not whole: " in last.message
    lost, kept = map(int, re.findall(r"requests\.arrows .*? (\d+) rows are lost, (\d+) before", last.message)[0])
    assert kept == finished.load.samples_recorded < finished.load.requests_sent
    assert lost + kept == answered
    assert not any(worker.lost for worker in finished.load.workers)
    assert any("keeps no copies any more" in note and "No space left" in note for note in finished.notes)


def test_a_worker_without_room_for_copies_goes_on_and_nothing_is_missing(tmp_path: Path) -> None:
    full(RunPaths(root=tmp_path).spool("operations", 1))
    with serving(shop) as server:
        finished, last, code = run_of(shop_spec(server.url, tmp_path, fans=6, workers=1))
    assert isinstance(last, Settled)
    assert code == 0
    assert last.load.requests_sent == last.load.samples_recorded == 13
    assert any("worker 1 keeps no copies any more" in note for note in finished.notes)


def test_a_table_that_cannot_be_written_is_named_and_the_others_are_whole(tmp_path: Path) -> None:
    full(RunPaths(root=tmp_path).live_table("operations"))
    with serving(shop) as server:
        finished, last, code = run_of(shop_spec(server.url, tmp_path, fans=6, workers=1))
    assert isinstance(last, FailureMessage)
    assert code == last.exit_code == 3
    assert "operations.arrows cannot be written" in last.message
    assert "6 rows are lost" in last.message
    assert any("operations.arrows cannot be written" in note for note in finished.notes)
    assert RunPaths(root=tmp_path).table("requests").exists()
