"""Findings over many runs: the file alone says what is new, open, fixed, back and accepted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import msgspec
import pytest

from harness.errors import InputError
from harness.record.reader import Record
from harness.record.verdict import Finding, Verdict
from harness.runs.lessons import (
    Acceptance,
    Lessons,
    accepted,
    learnt,
    owned,
    read_lessons,
    standing,
    state,
    written,
)
from tests.builders import RunBuilder
from tests.reports import verdicts

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    return verdicts.ready(Record.open(RunBuilder(fans=2).write(tmp_path_factory.mktemp("run") / "r").root))


def run(ready: Verdict, name: str, *ids: str, grade: str | None = "A") -> Verdict:
    found = tuple(Finding("major", f"About {one}", "evidence", "runbook", one) for one in ids)
    return msgspec.structs.replace(ready, run_id=name, findings=found, grade=grade)


def states(lessons: Lessons, verdict: Verdict) -> dict[str, str]:
    return {key: state(one, verdict.run_id, DAY) for key, one in lessons.of(verdict.scenario).items()}


def test_a_finding_is_new_then_open_then_fixed_then_back(ready: Verdict) -> None:
    lessons = Lessons()
    course = []
    for name, ids in (("r1", ["a", "b"]), ("r2", ["a"]), ("r3", ["a", "b"]), ("r4", ["a", "b"])):
        verdict = run(ready, name, *ids)
        lessons = learnt(lessons, verdict)
        course.append(states(lessons, verdict))
    assert course == [
        {"a": "new", "b": "new"},
        {"a": "open", "b": "fixed"},
        {"a": "open", "b": "regressed"},
        {"a": "open", "b": "regressed"},
    ]
    known = lessons.of(ready.scenario)
    assert standing(known["a"], "r4", DAY) == "open since r1; no owner named"
    assert standing(known["b"], "r4", DAY) == "back since r3; no owner named"
    assert (known["a"].runs, known["b"].runs) == (4, 3)


def test_the_same_run_twice_changes_nothing(ready: Verdict) -> None:
    once = learnt(Lessons(), run(ready, "r1", "a"))
    assert learnt(once, run(ready, "r1", "a")) == once


def test_a_run_that_is_older_than_the_last_one_is_refused(ready: Verdict) -> None:
    newer = msgspec.structs.replace(run(ready, "r2", "a"), t0="2026-11-24T10:00:00Z")
    older = msgspec.structs.replace(run(ready, "r1", "b"), t0="2026-11-23T10:00:00Z")
    lessons = learnt(Lessons(), newer)
    with pytest.raises(InputError, match="r1 was released before r2, which the file holds already"):
        learnt(lessons, older)
    never = msgspec.structs.replace(run(ready, "r3", "a"), t0=None)
    with pytest.raises(InputError, match="r1 was released before r3"):
        learnt(learnt(lessons, never), older)
    assert learnt(learnt(Lessons(), older), newer).of(ready.scenario)["b"].fixed == "r2"


def test_a_run_without_a_verdict_fixes_nothing(ready: Verdict) -> None:
    lessons = learnt(learnt(Lessons(), run(ready, "r1", "a")), run(ready, "r2", grade=None))
    assert states(lessons, run(ready, "r2")) == {"a": "open"}


def test_scenarios_do_not_touch_each_other(ready: Verdict) -> None:
    other = msgspec.structs.replace(run(ready, "r2"), scenario="another")
    lessons = learnt(learnt(Lessons(), run(ready, "r1", "a")), other)
    assert states(lessons, run(ready, "r1")) == {"a": "new"}


def test_it_is_accepted_until_a_day_by_somebody(ready: Verdict) -> None:
    lessons = learnt(Lessons(), run(ready, "r1", "a"))
    lessons = accepted(lessons, ready.scenario, "a", Acceptance(until=DAY, by="Ada", why="known"))
    lessons = owned(lessons, ready.scenario, "a", "Bob")
    lesson = lessons.of(ready.scenario)["a"]
    assert standing(lesson, "r1", DAY) == "new; accepted until 2026-11-23 by Ada; owner: Bob"
    assert standing(lesson, "r1", date(2026, 11, 24)) == "new; was accepted until 2026-11-23 by Ada; owner: Bob"
    assert (state(lesson, "r1", DAY), state(lesson, "r1", date(2026, 11, 24))) == ("accepted", "new")


def test_what_is_not_in_the_file_cannot_be_accepted(ready: Verdict) -> None:
    lessons = learnt(Lessons(), run(ready, "r1", "objective/error_ratio"))
    with pytest.raises(InputError, match="objective/eror_ratio"):
        owned(lessons, ready.scenario, "objective/eror_ratio", "Ada")


def test_the_file_is_read_as_it_was_written_and_nothing_else_is_taken(ready: Verdict, tmp_path: Path) -> None:
    file = tmp_path / "findings.json"
    assert read_lessons(file) == Lessons()
    lessons = learnt(Lessons(), run(ready, "r1", "a"))
    file.write_bytes(written(accepted(lessons, ready.scenario, "a", Acceptance(until=DAY, by="Ada"))))
    assert read_lessons(file).of(ready.scenario)["a"].accepted == Acceptance(until=DAY, by="Ada")
    for content in (b"{", b'{"schema":"another"}', b'{"surprise":1}', b"[" * 5000):
        file.write_bytes(content)
        with pytest.raises(InputError):
            read_lessons(file)
