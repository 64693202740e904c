"""Paired rounds: each side in a process of its own, one right after the other, several times; medians and ratios."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench-results"
PAGE = ROOT / "docs" / "benchmarks.md"


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


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent of growth: the least-squares slope of log y over log x. 1: in proportion; 0: not at all."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    return round(statistics.linear_regression([x for x, _ in logs], [y for _, y in logs]).slope, 2)


def publish(name: str, lines: Sequence[str], page: Path = PAGE, by: str = "") -> None:
    """Put these lines between the marks of that name in the page; `by`: the module that writes them, "" for NAME."""
    begin, end = f"<!-- {name}: written by tests.bench.{by or name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text().partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page.name} has no place for {name}")
    page.write_text("\n".join((before + begin, *lines, end + after)))


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


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started meanwhile keeps to that core, and so does this process until the end of it."""
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    pin(core)
    try:
        yield
    finally:
        if before:
            os.sched_setaffinity(0, before)
