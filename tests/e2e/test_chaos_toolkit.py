"""An exported experiment against the reference system, by a real `chaos run`, with `gatecrash target up` beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import rehearsals
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def platform(room: Path) -> Iterator[Path]:
    """Where the running platform is, as `target up` says it."""
    path = room / "platform.json"
    with path.open("wb") as answer:
        up = subprocess.Popen(
            rehearsals.command("target", "up", "--json", "--logs", str(room / "logs")),
            cwd=rehearsals.ROOT,
            env=rehearsals.environment(room / "tmp"),
            stdout=answer,
            stderr=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: path.read_bytes().endswith(b"\n"), within_s=120, what="the platform")
        yield path
    finally:
        up.terminate()
        up.wait(60)


def test_redis_down_is_proven_healed_and_met(room: Path, platform: Path) -> None:
    exported = rehearsals.run(room / "tmp", "chaos", "export", "redis-down", "--out", str(room / "redis-down.json"))
    assert exported.returncode == 0, exported.stderr
    done = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "run", "redis-down.json"],
        cwd=room,
        env={**os.environ, "PYTHONPATH": str(rehearsals.ROOT), "GATECRASH_PLATFORM": str(platform)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    journal = json.loads((room / "journal.json").read_text())
    assert (journal["status"], journal["deviated"]) == ("completed", False)
    assert journal["run"][-1]["output"]["proven"]
    judged = {probe["activity"]["name"]: probe["output"] for probe in journal["steady_states"]["after"]["probes"]}
    assert judged["the redis breaker opens"].startswith("met: ")
    assert judged["the redis breaker closes"].startswith("met: ")


def test_what_takes_more_than_a_proxy_is_a_whole_drill_on_a_stack_of_its_own(room: Path) -> None:
    exported = rehearsals.run(room / "tmp", "chaos", "export", "redis-kill", "--out", str(room / "redis-kill.json"))
    assert exported.returncode == 0, exported.stderr
    done = subprocess.run(
        [sys.executable, "-m", "chaostoolkit", "run", "redis-kill.json"],
        cwd=room,
        env={**rehearsals.environment(room / "tmp"), "PYTHONPATH": str(rehearsals.ROOT)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    journal = json.loads((room / "journal.json").read_text())
    assert journal["status"] == "completed", done.stderr  # it deviates where a busy machine misses an expectation
    proven, verdict, *judged = journal["steady_states"]["after"]["probes"]
    assert proven["output"] is True
    assert verdict["output"] == journal["run"][0]["output"]["verdict"] != "NO VERDICT"
    assert all(probe["output"] != "not yet" for probe in judged)
