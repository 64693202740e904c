"""Reads the finished runs of a folder: run.json and verdict.json only, without auditing again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import GatecrashError
from harness.input_file import NOT_JSON, read_input
from harness.record.paths import RunPaths
from harness.record.schema import RunDocument, Struct
from harness.record.verdict import Verdict
from harness.runs.comparable import other_machine, why_not
from harness.runs.lessons import Lessons
from harness.runs.staircase import ANSWER_FILE, Answer

_BYTES_MAX: Final = 64 << 20
_MOST: Final = 500
"""Of more directories in a folder the last so many by name are looked at; names begin with the date."""


class PastRun(Struct, frozen=True):
    """A finished run as its own files say."""

    root: Path
    run: RunDocument
    verdict: Verdict

    @property
    def began(self) -> str:
        """When it was released; runs that never were come first."""
        return self.run.t0 or ""


class Past(Struct, frozen=True):
    """The runs before one run, and what is known of their findings.

    `comparable`: those that it can be compared with, the last one last. `why_none`: why there is none, said of the last
    run that would have been next; "" when there is one. `capacity`: the newest answer of `gatecrash capacity` in the
    same folder, for this platform as it is on this class of machine.
    """

    comparable: tuple[PastRun, ...] = ()
    capacity: Answer | None = None
    why_none: str = "there is no earlier run beside it"
    lessons: Lessons = Lessons()

    @property
    def last(self) -> PastRun | None:
        """The last comparable run."""
        return self.comparable[-1] if self.comparable else None


def past_runs(folder: Path) -> Iterator[PastRun]:
    """Every run of the folder that has a verdict, in the order of release. What cannot be read is passed over."""
    found = []
    for root in sorted(path.parent for path in folder.glob("*/verdict.json"))[-_MOST:]:
        paths = RunPaths(root=root)
        try:
            run = msgspec.json.decode(read_input(paths.run, _BYTES_MAX), type=RunDocument)
            verdict = msgspec.json.decode(read_input(paths.verdict, _BYTES_MAX), type=Verdict)
        except (GatecrashError, *NOT_JSON):
            continue
        found.append(PastRun(root=root, run=run, verdict=verdict))
    yield from sorted(found, key=lambda one: (one.began, one.root.name))


def before(folder: Path, run: RunDocument) -> Past:
    """The runs in the folder that were released before this one, and the newest capacity that was measured there."""
    return msgspec.structs.replace(_runs_before(folder, run), capacity=_capacity(folder, run))


def _capacity(folder: Path, run: RunDocument) -> Answer | None:
    """What cannot be read is passed over."""
    for path in sorted(folder.glob(f"*/{ANSWER_FILE}"), reverse=True)[:_MOST]:
        try:
            found = msgspec.json.decode(read_input(path, _BYTES_MAX), type=Answer)
        except (GatecrashError, *NOT_JSON):
            continue
        if found.stack == run.stack and not found.changes and not other_machine(found.versions, run.versions):
            return found
    return None


def _runs_before(folder: Path, run: RunDocument) -> Past:
    earlier = [one for one in past_runs(folder) if run.t0 and one.began and one.began < run.t0]
    whys = [why_not(one.run, run) for one in earlier]
    comparable = tuple(one for one, why in zip(earlier, whys, strict=True) if not why)
    if comparable:
        return Past(comparable=comparable, why_none="")
    same = [(one, why) for one, why in zip(earlier, whys, strict=True) if one.run.scenario_name == run.scenario_name]
    if same:
        one, why = same[-1]
        return Past(why_none=f"{one.run.run_id} is not comparable: {why}")
    return Past(why_none=f"there is no earlier run of {run.scenario_name} beside it") if earlier else Past()
