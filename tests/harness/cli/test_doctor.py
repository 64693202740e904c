"""Every limit that was looked at comes with the way to lift it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from harness.cli import doctor

ROOT = Path(__file__).resolve().parents[3]
FDS = 512


def checks(preexec: object = None) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "harness", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True, preexec_fn=preexec)
    return {check["name"]: check for check in msgspec.json.decode(done.stdout)}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_low_limit_is_found_and_every_limit_says_how_to_lift_it() -> None:
    found = checks(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FDS, FDS)))
    assert found["file descriptors"]["status"] == "limited"
    assert f"{FDS}" in found["file descriptors"]["found"]
    assert found["file descriptors"]["mend"].startswith("nofile in ")
    assert "ip_local_port_range" in found["local ports"]["mend"]
    assert {"listen queue", "connection tracking"} <= found.keys()
    limited = [name for name, check in found.items() if check["status"] == "limited" and not check["mend"]]
    assert limited == []


@pytest.mark.parametrize(("used", "status"), [(1_000, "ok"), (260_000, "limited")])
def test_a_full_table_of_connections_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, used: int, status: str
) -> None:
    (tmp_path / "nf_conntrack_max").write_text("262144\n")
    (tmp_path / "nf_conntrack_count").write_text(f"{used}\n")
    monkeypatch.setattr(doctor, "_CONNTRACK", tmp_path)
    check = doctor._tracking()
    assert check.status == status
    assert check.found.startswith(f"{used:,} of 262,144 connections")
    assert "nf_conntrack_max" in check.mend
