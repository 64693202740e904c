"""`python -m tests.fuzz [--inputs N] [--seed S] [--only NAME]`: bad input, and whether gatecrash takes it well.

Each input must be accepted, or refused with exit code 2 in one clear line, soon and without much memory. Prints a line
for each that was not, with the number that makes it again (`--first NUMBER --inputs 1`), and a summary.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from harness.errors import GatecrashError
from tests.fuzz.subjects import SUBJECTS, Subject, complaints

MEMORY_BYTES: Final = 6_000_000_000
GROWTH_KB_MAX: Final = 1_000_000
WITHIN_S: Final = 20.0


class Finding(NamedTuple):
    """An input that was not taken well."""

    number: int
    subject: str
    wrong: str
    given: str


class _Hangs(BaseException):
    """Not an Exception: nothing of ours may swallow it."""


def _on_alarm(_number: int, _frame: FrameType | None) -> None:
    raise _Hangs


def main() -> int:
    """1 where an input was not taken well."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=14)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--only", default="", help="one kind of input")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _on_alarm)
    subjects = [make() for make in SUBJECTS]
    weights = list(SUBJECTS.values())
    if arguments.only:
        weights = [float(subject.name == arguments.only) for subject in subjects]
    began_s, taken, findings = time.monotonic(), Counter[str](), list[Finding]()
    with tempfile.TemporaryDirectory(prefix="gatecrash-fuzz-") as folder:
        for number in range(arguments.first, arguments.first + arguments.inputs):
            dice = random.Random(f"{arguments.seed}-{number}")
            subject = dice.choices(subjects, weights)[0]
            room = Path(folder) / subject.name
            room.mkdir(exist_ok=True)
            how, found = _tried(number, subject, dice, room)
            taken[f"{subject.name}: {how}"] += 1
            for finding in found:
                print(json.dumps(finding._asdict()), flush=True)
            findings += found
    took_s = time.monotonic() - began_s
    for kind, count in sorted(taken.items()):
        print(f"{kind}: {count}")
    print(f"{arguments.inputs} inputs with seed {arguments.seed} in {took_s:.0f} s: {len(findings)} not taken well")
    return int(bool(findings))


def _tried(number: int, subject: Subject, dice: random.Random, room: Path) -> tuple[str, list[Finding]]:
    given, wrong, how = subject.make(dice, room), list[str](), "accepted"
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_REAL, WITHIN_S)
    try:
        subject.take(room)
    except GatecrashError as error:
        how, wrong = "refused", [f"{text}: {str(error)[:500]!r}" for text in complaints(error, subject, room)]
    except _Hangs:
        how, wrong = "wrong", [f"not done within {WITHIN_S:g} s"]
    except BaseException:  # noqa: BLE001 - that is what is looked for
        how, wrong = "wrong", ["".join(traceback.format_exc(limit=-4))]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    if grown_kb > GROWTH_KB_MAX:
        wrong.append(f"took {grown_kb // 1000} MB")
    return how, [Finding(number, subject.name, text, given) for text in wrong]


if __name__ == "__main__":
    sys.exit(main())
