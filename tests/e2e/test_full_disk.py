"""A rehearsal whose run directory lies on a disk that is too small for its record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e import rehearsals
from tests.harness.swarm.control.test_full_disk import tiny_disk

pytestmark = pytest.mark.e2e


def test_a_full_disk_leaves_no_verdict_and_all_four_files(room: Path) -> None:
    with tiny_disk(room / "runs", 2600) as disk:
        disk.chmod(0o711)
        done = rehearsals.run(room / "tmp", "rehearse", "smoke", "--no-chaos", "--json", "--out", str(disk))
        run = rehearsals.only_run(disk)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        assert done.stderr.splitlines()[-1].startswith("gatecrash: ")
        verdict = json.loads(done.stdout)
        assert verdict == json.loads((run / "verdict.json").read_text())
        assert verdict["verdict"] == "NO VERDICT"
        assert "No space left" in verdict["reason"]
        assert all((run / name).exists() for name in ("report.html", "report.md", "junit.xml"))
        assert not list(run.rglob("*.partial"))
        assert not (run / "reserve").exists()
