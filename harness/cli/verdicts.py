"""Judges a record and shows the verdict: reports, the last lines of the command, annotations of GitHub Actions."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from harness.cli.app import broken, fail, say
from harness.cli.judge import Judged, judge_record
from harness.cli.streams import spoken
from harness.errors import ExitCode, GatecrashError, Interrupted, NoVerdict
from harness.record.verdict import Decision, Verdict

_LEVELS: Final = {"critical": "error", "major": "warning", "minor": "notice"}
_MOST: Final = 10  # GitHub shows no more of a kind in one step


def annotate(verdict: Verdict, environment: Mapping[str, str] = os.environ) -> Iterator[str]:
    """One workflow command for the verdict and one for each finding that somebody should act on; none elsewhere."""
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    level = "notice" if verdict.verdict is Decision.READY else "error"
    yield _command(level, f"gatecrash: {verdict.verdict.value}", verdict.reason)
    told = [finding for finding in verdict.findings if finding.severity in _LEVELS]
    for finding in told[: _MOST - 1]:
        text = f"{finding.evidence} ({finding.runbook})" if finding.runbook else finding.evidence
        yield _command(_LEVELS[finding.severity], finding.title, text)


def _command(level: str, title: str, text: str) -> str:
    return f"::{level} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{_escaped(text)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


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
