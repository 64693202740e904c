"""What the shell offers after Tab."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("gatecrash rehearse play", ["playoff-presale"]),
        ("gatecrash experiment show redis-h", ["redis-hang"]),
        ("gatecrash rehearse smoke --plant-bug lost_a", ["lost_ack"]),
        ("gatecrash scen", ["scenario"]),
    ],
)
def test_names_are_completed(typed: str, offered: list[str]) -> None:
    asked = {"_GATECRASH_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "harness"], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == offered, done.stderr
