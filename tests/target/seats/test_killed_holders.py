"""A process killed with SIGKILL between any two lines leaves every hold whole or absent, and none for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from target.roles.composition import HOLD_BACKENDS
from tests.target.conftest import Valkey

ROOT = Path(__file__).parents[3]
DEATHS = 40


@pytest.mark.parametrize("backend", sorted(HOLD_BACKENDS))
def test_no_death_leaves_a_hold_undecided(valkey: Valkey, backend: str) -> None:
    command = [sys.executable, "-m", "tests.target.killed_holder", valkey.url, backend, str(DEATHS), "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    died, lines = map(int, done.stdout.split())
    assert died == DEATHS
    assert lines > 2 * DEATHS
