"""From a record to its verdict, and from that to what the user sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.annotations import annotate
from harness.cli.app import say
from harness.errors import ExitCode, GatecrashError, Interrupted

if TYPE_CHECKING:
    from harness.record.paths import RunPaths
    from harness.record.reader import Record
    from harness.record.verdict import Verdict


def judge(run: Path) -> Verdict:
    """Audit, measure, grade and render the record in `run`. Raises InputError when it cannot be trusted."""
    try:
        return _judge(run)
    except KeyboardInterrupt as stop:
        hint = f"nothing is lost: `gatecrash report {run}` gives it"
        raise Interrupted("interrupted before the verdict", hint=hint) from stop


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
    from harness.amounts import points
    from harness.counter_example import counter_examples
    from harness.paired import in_words
    from harness.why import why

    grade = (
        ""
        if verdict.grade is None or verdict.score is None
        else f"  grade {verdict.grade} ({points(verdict.score)}/100)"
    )
    typer.echo(f"{verdict.verdict}{grade}")
    typer.echo(verdict.reason)
    for cause in why(verdict):
        typer.echo(f"  {cause.of}: {cause.text}")
        typer.echo(f"    do: {cause.action}")
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
