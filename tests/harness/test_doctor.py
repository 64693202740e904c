"""Every limit that was looked at comes with the way to lift it."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
FDS = 512


def checks(preexec: object = None) -> dict[str, dict[str, str]]:
    command = [sys.executable, "-m", "harness", "doctor", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True, preexec_fn=preexec)
    return {check["name"]: check for check in msgspec.json.decode(done.stdout)}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_low_limit_is_found_and_every_limit_says_how_to_lift_it() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    found = checks(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (FDS, hard)))
    assert found["file descriptors"]["status"] == "limited"
    assert f"{FDS}" in found["file descriptors"]["found"]
    assert found["file descriptors"]["mend"].startswith("ulimit -n ")
    assert "ip_local_port_range" in found["local ports"]["mend"]
    assert "listen queue" in found
    limited = [name for name, check in found.items() if check["status"] == "limited" and not check["mend"]]
    assert limited == []
