"""From a record to its verdict, and from that to what the user sees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from harness.cli.annotations import annotate
from harness.cli.app import broken, fail, say
from harness.cli.judge import Judged, judge_record
from harness.cli.streams import spoken
from harness.errors import ExitCode, GatecrashError, Interrupted, NoVerdict

if TYPE_CHECKING:
    from harness.record.paths import RunPaths
    from harness.record.verdict import Verdict


def judge(run: Path) -> Verdict:
    """Audit, measure, grade and render the record in `run`.

    Raises InputError when it cannot be trusted, NoVerdict when the report cannot be written or the judging breaks.
    """
    again = f"nothing is lost: `gatecrash report {run}` gives it"
    try:
        judged = judge_record(run)
        _render(judged)
    except KeyboardInterrupt as stop:
        raise Interrupted("interrupted before the verdict", hint=again) from stop
    except GatecrashError:
        raise
    except OSError as error:
        raise NoVerdict(f"the report cannot be written: {error}", hint=f"mend that; {again}") from error
    except Exception as error:
        raise NoVerdict(f"gatecrash broke while it judged: {broken(error)}") from error
    return judged.verdict


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
    with spoken():
        if json:
            typer.echo(paths.verdict.read_text(), nl=False)
        else:
            typer.echo(f"{verdict.verdict}\n{verdict.reason}")
    return error.exit_code


def _render(judged: Judged) -> None:
    from reports import write

    if judged.control is not None:
        _render(judged.control)
    write(judged.record, judged.verdict, None if judged.control is None else judged.control.record)


def answer(verdict: Verdict, paths: RunPaths, *, json: bool) -> None:
    """Print it: the grade, the worst findings, the counter-examples, where the report is."""
    with spoken():
        _print(verdict, paths, json=json)


def _print(verdict: Verdict, paths: RunPaths, *, json: bool) -> None:
    for line in annotate(verdict):
        say(line)
    if json:
        from reports import json_document

        typer.echo(json_document.render(verdict), nl=False)
        return
    from harness.amounts import points
    from harness.judging.counter_example import counter_examples
    from harness.judging.why import why
    from harness.paired import in_words

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
    from harness.judging.grade import exit_code

    return exit_code(verdict)
