"""`gate`, `report`, `retro`, `compare`: judge and show finished runs; `selftest`: test the judge itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import msgspec
import typer
from rich.console import Console

from harness.cli.app import app, print_json, print_table, say, tell
from harness.cli.judge import judge_record, sealed_verdict
from harness.cli.options import DEFAULT_OUT, AsJson, MinGrade, RunDir
from harness.cli.verdicts import answer, exit_code_of, judge, past_of
from harness.errors import ExitCode, InputError, NoVerdict
from harness.input_file import path_of, write_output

if TYPE_CHECKING:
    from harness.record.verdict import Paired, Verdict
    from harness.runs.change import Change, SmallestEffect

Grade = Literal["A", "B", "C", "D", "F"]


@app.command(short_help="The exit code of a finished run.")
def gate(run: RunDir, min_grade: MinGrade = None, json: AsJson = False) -> None:
    """The exit code of a finished run: 0 READY, 1 NOT READY, 3 NO VERDICT, 4 an invariant was violated.

    The record decides: it is judged again, and a verdict.json that says anything else is refused with 2. Where a seal
    key proves that verdict.json is what this gatecrash gave on this record, it is not judged twice.

    \b
    gatecrash gate runs/20261123-101500-smoke-1a2b --min-grade B
    """
    from harness.judging import gate as gates

    decided = gates.decide(run, lambda run: sealed_verdict(run) or judge_record(run).verdict, _grade(min_grade))
    if decided.note:
        say(decided.note)
    if json:
        typer.echo(msgspec.json.encode(decided).decode())
    else:
        tell(f"{decided.verdict}: {decided.reason}")
    raise typer.Exit(decided.exit_code)


@app.command(short_help="Judge and render a finished run again.")
def report(
    run: RunDir,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", parser=path_of, help="Where the report is written, instead of RUN."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Audit, grade and render a record again; nothing is run.

    \b
    gatecrash report runs/20261123-101500-smoke-1a2b
    gatecrash report /mnt/read-only/20261123-101500-smoke-1a2b --out /tmp/report
    """
    from harness.record.paths import RunPaths

    verdict = judge(run, out)
    answer(verdict, RunPaths(root=out or run), json=json)
    raise typer.Exit(exit_code_of(verdict))


@app.command(short_help="A retrospective in Markdown, prefilled.")
def retro(
    run: RunDir,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", parser=path_of, help="Write it there instead of to stdout.")
    ] = None,
) -> None:
    """A retrospective in Markdown: verdict, what it meant for fans and money, the timeline, causes, actions, questions.

    What the record knows is filled in; what people saw and did is left open. Findings stand as in the file of
    `gatecrash findings`, where it lies beside.

    \b
    gatecrash retro runs/20261123-101500-smoke-1a2b --out retro.md
    """
    from reports import retro as pages

    judged = judge_record(run)
    written = pages.render(judged.record, judged.verdict, past_of(judged.record))
    if out is None:
        typer.echo(written, nl=False)
    else:
        write_output(out, written.encode("utf-8", "replace"))


@app.command(short_help="What differs between two finished runs.")
def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", parser=path_of, help="The run that is compared with.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", parser=path_of, help="The run that is looked at.")],
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="regression", help="Exit with 1 where RUN is worse than BASE.")
    ] = "",
    points: Annotated[
        float, typer.Option("--smallest-points", metavar="N", min=0.0, max=100.0, help="Of a score: fewer are noise.")
    ] = 5.0,
    percent: Annotated[
        float, typer.Option("--smallest-percent", metavar="N", min=0.0, max=100.0, help="Of a value: less is noise.")
    ] = 20.0,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", parser=path_of, help="Write it as a page, too.")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", metavar="FILE", parser=path_of, help="Write it as Markdown, too.")
    ] = None,
    json: AsJson = False,
) -> None:
    """What differs between two finished runs: verdicts, invariants, findings, what matters of the indicators; then by
    indicator, and by phase of each fault of RUN, with 95 % intervals.

    A regression is a worse verdict, grade, invariant or objective. A score counts as changed from
    --smallest-points on, an indicator without objective from --smallest-percent of its value on.

    \b
    gatecrash compare runs/20261123-101500-smoke-1a2b runs/20261123-111500-smoke-3c4d
    gatecrash compare BASE RUN --fail-on regression --markdown comparison.md
    """
    from harness import paired
    from harness.runs.change import SmallestEffect, change
    from harness.runs.comparable import why_not

    if fail_on not in ("", "regression"):
        raise InputError(f"{fail_on!r} is nothing to fail on", key="--fail-on", hint="regression")

    one, two = judge_record(base), judge_record(run)
    names = one.record.run.scenario_name, two.record.run.scenario_name
    if names[0] != names[1]:
        hint = f"compare {names[0]} with {names[0]}"
        raise InputError(f"{base} is a run of {names[0]} and {run} one of {names[1]}", hint=hint)
    found = paired.compare(
        one.record, one.verdict, two.record, two.verdict, str(base), order="two records", names=("base", "run")
    )
    if found.left_out:
        raise NoVerdict(f"there is nothing to compare: {found.left_out}")
    smallest = SmallestEffect(points, percent / 100)
    changed = change(one.verdict, two.verdict, smallest)
    unlike = why_not(one.record.run, two.record.run)
    if html or markdown:
        from reports import compare as pages

        page = pages.comparison(one.verdict, two.verdict, found, unlike, smallest)
        for file, render in ((html, pages.html), (markdown, pages.markdown)):
            if file is not None:
                write_output(file, render(page).encode("utf-8", "replace"))
    if json:
        brief = {"run_verdict": two.verdict.verdict, "run_grade": two.verdict.grade, "unlike": unlike}
        print_json(msgspec.to_builtins(found) | brief | {"change": msgspec.to_builtins(changed)})
    else:
        for name, judged in (("base", one), ("run", two)):
            typer.echo(f"{name}: {_in_brief(judged.verdict)}")
        for line in change_lines(changed):
            typer.echo(line)
        typer.echo()
        _show_comparison(found, smallest)
        if unlike:
            tell(f"caution: base and run are not alike: {unlike}")
    if fail_on and changed.is_regression:
        raise typer.Exit(ExitCode.NOT_READY)


@app.command(short_help="Show that the audit sees planted bugs.")
def selftest(
    bugs: Annotated[
        list[str] | None, typer.Option("--bug", metavar="NAME", help="Only this planted bug; may be repeated.")
    ] = None,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=0, help="Only N of the bugs, drawn at random.")
    ] = None,
    clean: Annotated[int, typer.Option("--clean", metavar="N", min=0, help="Clean runs, each with its own seed.")] = 3,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of the runs; clean ones count up.")] = 41,
    jobs: Annotated[int, typer.Option("--jobs", metavar="N", min=1, max=64, help="Runs at the same time.")] = 1,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", parser=path_of, help="Where the runs are kept.")
    ] = DEFAULT_OUT,
    json: AsJson = False,
) -> None:
    """Show that the audit sees: each planted bug must be caught, and the clean system must raise no alarm.

    \b
    gatecrash selftest
    gatecrash selftest --bug lost_ack --clean 0
    """
    from harness.selftest import command

    result = command.run(bugs or [], sample=sample, clean=clean, seed=seed, jobs=jobs, out=out, say=say)
    if json:
        print_json(result)
    else:
        command.show(result, Console())
    raise typer.Exit(result.exit_code)


def _in_brief(verdict: Verdict) -> str:
    return str(verdict.verdict) if verdict.grade is None else f"{verdict.verdict}, grade {verdict.grade}"


def change_lines(found: Change) -> Iterator[str]:
    """What changed by enough to matter, a line each."""
    from harness.amounts import amounts

    for invariant in found.invariants:
        yield f"{invariant.effect}: {invariant.name} was {invariant.base}, is {invariant.run}"
    for one in found.indicators:
        was, now = amounts(one.unit, one.base, one.run)
        yield f"{'worse' if one.worse else 'better'}: {one.title} was {was}, is {now}"
    yield from (f"new finding: {finding.title}" for finding in found.new)
    yield from (f"gone: {finding.title}" for finding in found.gone)


def _show_comparison(found: Paired, smallest: SmallestEffect) -> None:
    from reports.compare import rows

    for when, group in groupby(rows(found, smallest), lambda row: row.when):
        tell(f"{when}:")
        shown = ((row.title, row.base, row.run, row.difference, row.interval, row.effect) for row in group)
        print_table(("what", "base", "run", "difference", "95 % interval", "effect"), shown)
        typer.echo()
    for caution in found.cautions:
        tell(f"caution: {caution}")


def _grade(text: str | None) -> str | None:
    if text is None or text in get_args(Grade):
        return text
    raise InputError(f"{text!r} is no grade", key="--min-grade", hint="one of A, B, C, D, F")
