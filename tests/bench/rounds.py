"""Paired rounds: each side in a process of its own, one right after the other, several times; medians and ratios."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parents[2] / "bench-results"


def one_side(module: str, side: str, *arguments: str) -> dict[str, float]:
    """Figures of one side in one round: the last line of what its process prints."""
    command = [sys.executable, "-m", module, "--side", side, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=120)
    return json.loads(done.stdout.splitlines()[-1])


def paired(module: str, sides: Sequence[str], rounds: int, *arguments: str) -> dict[str, list[dict[str, float]]]:
    """All rounds of all sides; the order alternates, so that neither always runs first."""
    figures: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            figures[side].append(one_side(module, side, *arguments))
            print(f"  round {number + 1} {side}: {figures[side][-1]}", file=sys.stderr)
    return figures


def medians(figures: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {name: statistics.median(one[name] for one in figures) for name in figures[0]}


def write(name: str, document: dict[str, object]) -> Path:
    """Into bench-results/NAME.json, with what it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    packages = {package: version(package) for package in ("locust", "gevent", "pyarrow")}
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system(), **packages}
    path.write_text(json.dumps({**document, "measured_on": machine}, indent=2) + "\n")
    return path


def pin(core: int) -> None:
    """Keep this process to one core, where the system lets us: a client is measured on one."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[core % len(cores)]})
