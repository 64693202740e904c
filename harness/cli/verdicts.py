"""Judges a record and shows the verdict: reports, the last lines of the command, annotations."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import typer

from harness.cli.annotations import annotate
from harness.cli.app import broken, fail, tell
from harness.cli.judge import Judged, judge_record
from harness.errors import ExitCode, GatecrashError, Interrupted, NoVerdict
from harness.input_file import is_file
from harness.record.paths import RunPaths
from harness.record.verdict import Reason, Verdict

if TYPE_CHECKING:
    from harness.record.reader import Record
    from harness.runs.past import Past


def judge(run: Path, into: Path | None = None) -> Verdict:
    """Audit, measure, grade and render the record in `run`; `into`: a directory for the reports instead of `run`.

    When the reports cannot be written, this is reported and the verdict is NO VERDICT. Raises InputError when the
    record cannot be trusted, NoVerdict when the judging breaks, Interrupted when the user stops it.
    """
    again = f"nothing is lost: `gatecrash report {run}` gives it"
    try:
        judged = judge_record(run)
        try:
            _render(judged, into)
        except OSError as error:
            return _unwritten(judged, error, f"{again}, with --out DIR elsewhere", into)
    except KeyboardInterrupt as stop:
        raise Interrupted("interrupted before the verdict", hint=again) from stop
    except GatecrashError:
        raise
    except Exception as error:
        raise NoVerdict(f"gatecrash broke while it judged: {broken(error)}") from error
    return judged.verdict


def conclude(paths: RunPaths, ended: GatecrashError | None, *, json: bool) -> ExitCode:
    """Judge the run that has just ended, print the answer, and return the exit code of the verdict.

    `ended`: the error that ended the run early. In every case the four files are written as far as the disk has space,
    and the answer is printed on stdout. Raises `ended` after that, or the error that ended the judging.
    """
    try:
        verdict = judge(paths.root)
    except GatecrashError as problem:
        verdict = _leave_unjudged(paths, problem)
        if ended is None:
            ended = problem if isinstance(problem, Interrupted) else NoVerdict(str(problem))
        else:
            fail(str(problem))
    answer(verdict, paths, json=json)
    if ended is not None:
        raise ended
    return exit_code_of(verdict)


def _unwritten(judged: Judged, error: OSError, again: str, into: Path | None) -> Verdict:
    """The verdict after some of its files could not be written; the other files then say so."""
    from harness.judging.unjudged import unwritten
    from harness.record.seal import seal_verdict

    fail(f"the report cannot be written: {error} (mend that; {again})")
    reason = Reason(f"The report cannot be written: {error.strerror}.", f"mend that; {again}")
    verdict = seal_verdict(unwritten(judged.verdict, reason))
    with suppress(OSError):
        _render(Judged(judged.record, verdict), into)
    return verdict


def _leave_unjudged(paths: RunPaths, problem: GatecrashError) -> Verdict:
    """Write NO VERDICT with the error into all four files, as far as the disk has space."""
    from harness.judging.unjudged import unjudged
    from harness.record.reader import Record
    from harness.record.seal import seal_verdict

    record = Record.documents(paths)
    again = problem.hint or f"`gatecrash report {paths.root}` judges it again"
    verdict = seal_verdict(unjudged(record.run, Reason(f"The record was not judged: {problem.message}.", again)))
    try:
        _render(Judged(record, verdict))
    except OSError as error:
        fail(f"the report cannot be written: {error}")
    except Exception as error:  # noqa: BLE001 - what broke the judging may break the report too; the answer is left
        fail(f"gatecrash broke while it wrote the report: {broken(error)}")
    return verdict


def _render(judged: Judged, into: Path | None = None) -> None:
    from reports import write

    if judged.control is not None:
        _render(judged.control, None if into is None else RunPaths(root=into).control.root)
    record, control = judged.record, None if judged.control is None else judged.control.record
    past = past_of(record)
    write(record, judged.verdict, control, past=past, into=into)


def past_of(record: Record) -> Past:
    """The runs beside the record, and how their findings stand by the file of lessons; a problem with it is printed."""
    from harness.runs.lessons import LESSONS_FILE, read_lessons
    from harness.runs.past import before

    past = before(record.paths.root.parent, record.run)
    try:
        return msgspec.structs.replace(past, lessons=read_lessons(LESSONS_FILE))
    except GatecrashError as error:
        fail(f"the report does not say how its findings stand: {error}")
        return past


def answer(verdict: Verdict, paths: RunPaths, *, json: bool) -> None:
    """Print it: the grade, the worst findings, the counter-examples, where the report is."""
    for line in annotate(verdict):
        print(line, file=sys.stderr, flush=True)
    if json:
        from reports import json_document

        typer.echo(json_document.render(verdict), nl=False)
    else:
        _print(verdict, paths)


def _print(verdict: Verdict, paths: RunPaths) -> None:
    from harness.amounts import points
    from harness.judging.counter_example import counter_examples
    from harness.judging.why import why
    from harness.paired import in_words

    grade = (
        ""
        if verdict.grade is None or verdict.score is None
        else f"  grade {verdict.grade} ({points(verdict.score)}/100)"
    )
    tell(f"{verdict.verdict}{grade}")
    tell(verdict.reason)
    if verdict.unaudited and verdict.unaudited != verdict.reason:
        tell(verdict.unaudited)
    for cause in why(verdict):
        tell(f"  {cause.of}: {cause.text}")
        tell(f"    do: {cause.action}")
    for finding in verdict.findings[:3]:
        tell(f"  {finding.severity}: {finding.title}")
        if known := verdict.cause_of(finding.id):
            tell(f"    why: {known.sentence}")
    for line in counter_examples(verdict.invariants):
        tell(line)
    for fault in verdict.faults:
        if fault.runbook_times is not None:
            tell(f"runbook of {fault.experiment}: {fault.runbook_times.sentence}")
    if verdict.paired is not None:
        for line in in_words(verdict.paired):
            tell(line)
    if is_file(paths.report_html):
        tell(f"report: {paths.report_html}")


def exit_code_of(verdict: Verdict) -> ExitCode:
    """The exit code of the command."""
    from harness.judging.gate import exit_code

    return exit_code(verdict)
