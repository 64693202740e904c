"""What `gatecrash selftest` does: choose the cases, run them with progress, keep the result, show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness import scenario
from harness.errors import EnvironmentProblem, InputError
from harness.record.collecting import versions
from harness.record.paths import PRIVATE
from harness.record.reader import Record
from harness.selftest import memory
from harness.selftest.cases import SCENARIO, SELFTEST_SCHEMA, Case, CaseOutcome, CaseResult, SelfTest, plan
from harness.selftest.chances import Exercise, exercises
from harness.selftest.runner import run as run_cases
from harness.stack.reference.planted_bugs import PlantedBug, planted_bugs
from harness.yaml_file import suggest


def run(
    names: Sequence[str],
    *,
    sample: int | None,
    clean: int,
    seed: int,
    jobs: int,
    out: Path,
    say: Callable[[str], None],
) -> SelfTest:
    """A whole self-test; its runs are kept below a new directory in `out`. Raises InputError before anything starts."""
    known = planted_bugs()
    cases = plan(_chosen(known, names), seed=seed, clean=clean, sample=sample)
    if not cases:
        raise InputError("there is nothing to run", key="--clean 0", hint="ask for a bug or for a clean run")
    scenario.load(SCENARIO)
    version = memory.version_of(versions.collect())
    began = datetime.now(UTC)
    room = _room(out, began)
    started_s = time.monotonic()
    say(f"{_load(cases)}, {jobs} at a time; logs and runs in {room}")
    results = run_cases(cases, room, jobs, _Progress(len(cases), say))
    result = SelfTest(
        schema=SELFTEST_SCHEMA,
        version=version,
        began=began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        took_s=round(time.monotonic() - started_s, 1),
        bugs_known=len(known),
        results=results,
        exercises=_exercises(results),
    )
    _keep(result, say)
    return result


def show(result: SelfTest, console: Console) -> None:
    """The result as a table and one sentence."""
    table = Table(box=None, pad_edge=False)
    for column in ("case", "result", "seen"):
        table.add_column(column, overflow="fold", no_wrap=column != "seen")
    for case in result.results:
        also = [name for name in case.violated if name != case.case.breaks and case.outcome is CaseOutcome.CAUGHT]
        seen = case.evidence + (f"; also {', '.join(also)}" if also else "")
        table.add_row(case.case.name, case.outcome.replace("_", " "), Text(seen))
    console.print(table)
    if result.exercises:
        _show_exercises(result, console)
    summary = result.summary()
    console.print(
        f"{'PASSED' if summary.passed else 'FAILED'}: {summary.sentence} ({result.took_s:.0f} s)", highlight=False
    )


def _exercises(results: Sequence[CaseResult]) -> tuple[Exercise, ...]:
    clean = next((result.run for result in results if result.outcome is CaseOutcome.CLEAN), "")
    return exercises(Record.open(Path(clean))) if clean else ()


def _show_exercises(result: SelfTest, console: Console) -> None:
    """How often the clean run put each invariant to the test, and that without its occasions it did not."""
    table = Table(box=None, pad_edge=False)
    table.add_column("invariant", no_wrap=True)
    table.add_column("chances", justify="right")
    table.add_column("without")
    table.add_column("chances", justify="right")
    for one in result.exercises:
        counted = Text(f"{one.chances_without:,}", style="" if one.is_sound else "bold red")
        table.add_row(one.invariant, f"{one.chances:,}", ", ".join(one.left_out), counted)
    console.print(table)


class _Progress:
    """One line for each case that ended."""

    def __init__(self, cases: int, say: Callable[[str], None]) -> None:
        self._cases = cases
        self._ended = 0
        self._say = say

    def __call__(self, result: CaseResult) -> None:
        self._ended += 1
        what = result.outcome.replace("_", " ")
        self._say(
            f"[{self._ended}/{self._cases}] {result.case.name}: {what} ({result.took_s:.0f} s): {result.evidence}"
        )


def _chosen(known: Sequence[PlantedBug], names: Sequence[str]) -> tuple[PlantedBug, ...]:
    by_name = {bug.name: bug for bug in known}
    for name in names:
        if name not in by_name:
            raise InputError(f"{name!r} is no planted bug", key="--bug", hint=suggest(name, list(by_name)))
    return tuple(by_name[name] for name in dict.fromkeys(names)) if names else tuple(known)


def _load(cases: Sequence[Case]) -> str:
    planted = sum(1 for case in cases if case.bug)
    return f"{planted} runs with a planted bug each, {len(cases) - planted} clean runs"


def _room(out: Path, began: datetime) -> Path:
    room = out / f"selftest-{began:%Y%m%d-%H%M%S}"
    try:
        room.mkdir(mode=PRIVATE, parents=True)
    except OSError as error:
        raise EnvironmentProblem(f"cannot make {room}: {error.strerror}", hint="choose another with --out") from error
    return room


def _keep(result: SelfTest, say: Callable[[str], None]) -> None:
    """Later reports say when and how it ended; where that cannot be kept, this result still stands."""
    try:
        if not memory.remember(result.summary()):
            say("the result of the last whole self-test of this version is kept for reports, not this partial one")
    except (EnvironmentProblem, OSError, RuntimeError) as error:
        say(f"reports will not know of this self-test: {error}")
