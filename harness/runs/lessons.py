"""Findings over many runs, in one file that a team keeps: new, open, fixed, back after it was fixed, accepted.

The file works where every run starts from nothing, as in CI: it needs no earlier run directory.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Final

import msgspec

from harness.errors import InputError
from harness.input_file import NOT_JSON, read_input
from harness.record.schema import Struct
from harness.record.verdict import Finding, Verdict

LESSONS_SCHEMA: Final = "gatecrash.findings/1"
LESSONS_FILE: Final = Path("gatecrash-findings.json")
"""Read where there is one, in the directory in which gatecrash is called."""
_BYTES_MAX: Final = 8 << 20


class Acceptance(Struct, frozen=True):
    """Who accepts a finding until which day, and why."""

    until: date
    by: str
    why: str = ""


class Lesson(Struct, frozen=True):
    """One finding of one scenario. `fixed`: the first run without it after it was seen; "": it is there still.

    `returned`: the run in which it came back after it had been fixed; "": it never did.
    """

    id: str
    title: str
    severity: str
    first_run: str
    last_run: str
    runs: int = 1
    fixed: str = ""
    returned: str = ""
    owner: str = ""
    accepted: Acceptance | None = None


class Lessons(Struct, frozen=True):
    """The file. `scenarios`: of each scenario its lessons, and the runs that are in it, the last one last.

    `released`: when the last run of each scenario was released.
    """

    schema: str = LESSONS_SCHEMA
    scenarios: dict[str, tuple[Lesson, ...]] = msgspec.field(default_factory=dict)
    runs: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    released: dict[str, str] = msgspec.field(default_factory=dict)

    def of(self, scenario: str) -> Mapping[str, Lesson]:
        """The lessons of a scenario by the id of the finding."""
        return {lesson.id: lesson for lesson in self.scenarios.get(scenario, ())}


def read_lessons(path: Path) -> Lessons:
    """The file; without a file there are no lessons yet. Raises InputError."""
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that no file system takes
        return Lessons()
    try:
        found = msgspec.json.decode(read_input(path, _BYTES_MAX), type=Lessons)
    except NOT_JSON as error:
        raise InputError(f"is no file of findings: {error}", file=str(path)) from error
    if found.schema != LESSONS_SCHEMA:
        raise InputError(f"has the schema {found.schema!r}", file=str(path), hint=f"{LESSONS_SCHEMA} is read here")
    return found


def written(lessons: Lessons) -> bytes:
    """The file's content, a line for each field, so that changes can be reviewed."""
    return msgspec.json.format(msgspec.json.encode(lessons), indent=1) + b"\n"


def learnt(lessons: Lessons, verdict: Verdict) -> Lessons:
    """The lessons after one more run. A run that is in them already changes nothing.

    Nothing counts as fixed by a run without a verdict, because it may not have looked. Raises InputError for a run that
    was released before the last one: what it found may have been fixed since.
    """
    name, run = verdict.scenario, verdict.run_id
    seen = lessons.runs.get(name, ())
    if run in seen:
        return lessons
    released = verdict.t0 or lessons.released.get(name, "")
    if released < lessons.released.get(name, ""):
        hint = "add runs in the order in which they were released"
        raise InputError(f"{run} was released before {seen[-1]}, which the file holds already", hint=hint)
    known = dict(lessons.of(name))
    now = {finding.id: finding for finding in verdict.findings if finding.id}
    for key, finding in now.items():
        known[key] = _seen_again(known[key], finding, run) if key in known else _new(finding, run)
    if verdict.grade is not None:
        for key, lesson in known.items():
            if key not in now and not lesson.fixed:
                known[key] = msgspec.structs.replace(lesson, fixed=run, returned="")
    return Lessons(
        scenarios={**lessons.scenarios, name: tuple(known[key] for key in sorted(known))},
        runs={**lessons.runs, name: (*seen, run)},
        released={**lessons.released, name: released},
    )


def accepted(lessons: Lessons, scenario: str, finding: str, acceptance: Acceptance) -> Lessons:
    """The lessons with one of them accepted. Raises InputError for a finding that is not in them."""
    return _changed(lessons, scenario, finding, accepted=acceptance)


def owned(lessons: Lessons, scenario: str, finding: str, owner: str) -> Lessons:
    """The lessons with an owner for one of them. Raises InputError for a finding that is not in them."""
    return _changed(lessons, scenario, finding, owner=owner)


def standing(lesson: Lesson | None, run: str, day: date) -> str:
    """How a finding of this run stands on that day, in words: since when, accepted by whom, whose it is."""
    if lesson is None:
        return "no owner named"
    parts = [_since(lesson, run)]
    if lesson.accepted is not None:
        over = "was accepted until" if day > lesson.accepted.until else "accepted until"
        parts.append(f"{over} {lesson.accepted.until} by {lesson.accepted.by}")
    parts.append(f"owner: {lesson.owner}" if lesson.owner else "no owner named")
    return "; ".join(parts)


def state(lesson: Lesson, run: str, day: date) -> str:
    """new | open | regressed | fixed | accepted, as seen after that run."""
    if lesson.fixed:
        return "fixed"
    if lesson.accepted is not None and day <= lesson.accepted.until:
        return "accepted"
    if lesson.returned:
        return "regressed"
    return "new" if lesson.first_run == run else "open"


def _since(lesson: Lesson, run: str) -> str:
    if lesson.returned:
        return "back after it was fixed" if lesson.returned == run else f"back since {lesson.returned}"
    return "new" if lesson.first_run == run else f"open since {lesson.first_run}"


def _new(finding: Finding, run: str) -> Lesson:
    return Lesson(id=finding.id, title=finding.title, severity=finding.severity, first_run=run, last_run=run)


def _seen_again(lesson: Lesson, finding: Finding, run: str) -> Lesson:
    return msgspec.structs.replace(
        lesson,
        title=finding.title,
        severity=finding.severity,
        last_run=run,
        runs=lesson.runs + 1,
        fixed="",
        returned=run if lesson.fixed else lesson.returned,
    )


def _changed(lessons: Lessons, scenario: str, finding: str, **changes: object) -> Lessons:
    known = dict(lessons.of(scenario))
    if finding not in known:
        raise InputError(f"no finding {finding!r} of {scenario} is in the file", hint=_nearest(finding, known))
    known[finding] = msgspec.structs.replace(known[finding], **changes)
    return msgspec.structs.replace(
        lessons, scenarios={**lessons.scenarios, scenario: tuple(known[key] for key in sorted(known))}
    )


def _nearest(finding: str, known: Iterable[str]) -> str:
    from harness.yaml_file import suggest

    return suggest(finding, sorted(known))
