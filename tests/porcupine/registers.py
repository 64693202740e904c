"""Judges every seat of records by our checkers and by porcupine, and lists the seats on which they do not agree."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from harness.audit import INVARIANTS, tally
from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.verdict import Violation
from tests.porcupine.export import histories

HERE = Path(__file__).parent
CHECKERS = ("no_double_sell", "no_early_expiry", "no_sold_seat_granted")
_BUILD_WITHIN_S = 600.0
_JUDGE_WITHIN_S = 3600.0


class Disagreement(NamedTuple):
    """One seat. `ours`: the invariants that our checkers find violated there; `theirs`: what porcupine says."""

    record: int
    seat: str
    ours: tuple[str, ...]
    theirs: str


class Compared(NamedTuple):
    """What came of it. `broken`: seats that both call wrong."""

    seats: int
    broken: int
    disagreements: tuple[Disagreement, ...]


def compare(records: Iterable[Record], folder: Path) -> Compared:
    """Every seat that somebody held or bought. `folder`: where the program is built. Needs Go."""
    program = build(folder)
    seats, broken = 0, 0
    found: list[Disagreement] = []
    for number, record in enumerate(records):
        theirs = judge(program, histories(record))
        ours = broken_seats(record, frozenset(theirs))
        for seat, verdict in theirs.items():
            seats += 1
            names = tuple(sorted(ours.get(seat, ())))
            broken += bool(names) and verdict == "illegal"
            if (verdict == "illegal") != bool(names) or verdict == "unknown":
                found.append(Disagreement(number, seat, names, verdict))
    return Compared(seats, broken, tuple(found))


def has_go() -> bool:
    """Whether the program can be built here: Go is there, and so is the module that it needs."""
    if shutil.which("go") is None:
        return False
    command = ["go", "mod", "download"]
    return not subprocess.run(command, cwd=HERE, check=False, capture_output=True, timeout=_BUILD_WITHIN_S).returncode


def build(folder: Path) -> Path:
    """The program, built. Raises CalledProcessError."""
    program = folder / "registers"
    if not program.exists():
        command = ["go", "build", "-o", str(program), "."]
        subprocess.run(command, cwd=HERE, check=True, capture_output=True, timeout=_BUILD_WITHIN_S)
    return program


def judge(program: Path, seats: dict[str, list[dict[str, object]]]) -> dict[str, str]:
    """Seat → ok | illegal | unknown."""
    lines = "".join(json.dumps({"seat": seat, "ops": ops}) + "\n" for seat, ops in seats.items())
    done = subprocess.run(
        [str(program)], input=lines, capture_output=True, text=True, check=True, timeout=_JUDGE_WITHIN_S
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return {answer["seat"]: answer["verdict"] for answer in answers}


def broken_seats(record: Record, seats: frozenset[str]) -> dict[str, set[str]]:
    """Seat → the invariants that our checkers find violated there."""
    evidence = Evidence(record)
    broken: dict[str, set[str]] = {}
    with _all_violations_kept():
        for name in CHECKERS:
            for violation in INVARIANTS[name].checker(evidence).violations:
                for seat in _named(violation, seats):
                    broken.setdefault(seat, set()).add(name)
    return broken


@contextmanager
def _all_violations_kept() -> Iterator[None]:
    kept = tally.VIOLATIONS_KEPT
    tally.VIOLATIONS_KEPT = 10**9  # type: ignore[misc] # a report shows few, a comparison needs all
    try:
        yield
    finally:
        tally.VIOLATIONS_KEPT = kept  # type: ignore[misc]


def _named(violation: Violation, seats: frozenset[str]) -> set[str]:
    """The seats that it is about: the one of its summary, else those of its history."""
    texts = [violation.summary] if violation.summary.startswith("seat ") else [s.text for s in violation.history]
    words = {word.strip(",:;") for text in texts for word in text.split()}
    return words & seats
