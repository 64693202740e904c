"""The container image of the command: GATECRASH_IMAGE names one that was made of this checkout."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness import __version__
from harness.commit import commit_of

ROOT = Path(__file__).parents[2]
IMAGE = os.environ.get("GATECRASH_IMAGE", "")
pytestmark = [
    pytest.mark.needs_docker,
    pytest.mark.skipif(not IMAGE, reason="GATECRASH_IMAGE names no image: see .ci/images/build"),
]


def run(*words: str, entrypoint: str = "gatecrash") -> subprocess.CompletedProcess[str]:
    """In a container of the image that reaches nobody."""
    command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", entrypoint, IMAGE, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_it_says_which_commit_it_is_of() -> None:
    assert run("--version").stdout.split() == ["gatecrash", __version__, commit_of(ROOT)]


def test_it_runs_as_nobody_and_has_all_that_a_rehearsal_needs() -> None:
    assert run("-u", entrypoint="id").stdout.split() == ["65534"]
    checks = json.loads(run("doctor", "--json").stdout)
    assert [one["name"] for one in checks if one["status"] == "missing"] == []
    [account] = [one for one in checks if one["name"] == "account"]
    assert account["found"] == "an ordinary user"


def test_a_rehearsal_in_it_is_judged() -> None:
    small = ("--no-chaos", "--users", "30", "--spectators", "5", "--set", "duration_s=10")
    done = run("rehearse", "smoke", "--seed", "7", *small, "--json")
    verdict = json.loads(done.stdout)
    assert verdict["verdict"] in ("READY", "NOT READY"), verdict["reason"]
    assert [one["name"] for one in verdict["invariants"] if one["status"] == "violated"] == []
    assert verdict["load"]["requests_sent"] == verdict["load"]["samples_recorded"] > 0
    assert commit_of(ROOT) == verdict["versions"]["commit"]
