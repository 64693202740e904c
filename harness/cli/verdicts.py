"""From a record to its verdict, and from that to what the user sees."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.annotations import annotate
from harness.cli.app import fail, say
from harness.errors import ExitCode, GatecrashError, Interrupted, NoVerdict

if TYPE_CHECKING:
    from harness.record.paths import RunPaths
    from harness.record.reader import Record
    from harness.record.verdict import Verdict


def judge(run: Path) -> Verdict:
    """Audit, measure, grade and render the record in `run`.

    Raises InputError when it cannot be trusted, NoVerdict when the report cannot be written or the judging breaks.
    """
    again = f"nothing is lost: `gatecrash report {run}` gives it"
    try:
        return _judge(run)
    except KeyboardInterrupt as stop:
        raise Interrupted("interrupted before the verdict", hint=again) from stop
    except GatecrashError:
        raise
    except OSError as error:
        raise NoVerdict(f"the report cannot be written: {error}", hint=f"mend that; {again}") from error
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        raise NoVerdict(f"gatecrash broke while it judged: {type(error).__name__}: {error} ({where})") from error


def judge_early_end(paths: RunPaths, error: GatecrashError, *, json: bool) -> ExitCode:
    """A run that ended before its time: say why, and leave the report of what was seen until then.

    The exit code is that of the error. A report that cannot be made is said and hides nothing.
    """
    fail(str(error))
    try:
        verdict = judge(paths.root)
    except GatecrashError as problem:
        say(f"no report: {problem}")
        return error.exit_code
    say(f"report: {paths.report_html}")
    if json:
        typer.echo(paths.verdict.read_text(), nl=False)
    else:
        typer.echo(f"{verdict.verdict}\n{verdict.reason}")
    return error.exit_code


def _judge(run: Path) -> Verdict:
    from chaos import expectations
    from harness.audit import audit
    from harness.grade import grade
    from harness.record.reader import Record
    from harness.sli import measure
    from harness.sli.examinations import examine
    from reports import write

    record = Record.open(run)
    verdict = grade(record, measure(record), audit(record), expectations.judge(record), examine(record))
    control, verdict = _against_control(record, verdict)
    write(record, verdict, control)
    return verdict


def _against_control(record: Record, verdict: Verdict) -> tuple[Record | None, Verdict]:
    """Of a paired run: its control, judged and reported too, and the verdict with the comparison."""
    from harness.paired import added, compare, is_paired, left_out
    from harness.record.reader import Record

    if not is_paired(record):
        return None, verdict
    paths = record.paths.control
    try:
        alone = _judge(paths.root)
        control = Record.open(paths.root)
        paired = compare(control, alone, record, verdict, paths.root.name)
    except GatecrashError as error:
        return None, added(verdict, left_out(paths.root.name, str(error)), {})
    return control, added(verdict, paired, control.digest())


def answer(verdict: Verdict, paths: RunPaths, *, json: bool) -> None:
    """Print it: the grade, the worst findings, the counter-examples, where the report is."""
    for line in annotate(verdict):
        say(line)
    if json:
        typer.echo(paths.verdict.read_text(), nl=False)
        return
    from harness.counter_example import counter_examples
    from harness.paired import in_words

    grade = (
        "" if verdict.grade is None or verdict.score is None else f"  grade {verdict.grade} ({verdict.score:.0f}/100)"
    )
    typer.echo(f"{verdict.verdict}{grade}")
    typer.echo(verdict.reason)
    for finding in verdict.findings[:3]:
        typer.echo(f"  {finding.severity}: {finding.title}")
    for line in counter_examples(verdict.invariants):
        typer.echo(line)
    if verdict.paired is not None:
        for line in in_words(verdict.paired):
            typer.echo(line)
    typer.echo(f"report: {paths.report_html}")


def exit_code_of(verdict: Verdict) -> ExitCode:
    """What the command ends with."""
    from harness.grade import exit_code

    return exit_code(verdict)
