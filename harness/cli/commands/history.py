"""`runs`, `findings`, `fan`: runs beside one another, what became of their findings, and one fan's story."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from harness.cli.app import app, print_json, print_table, tell
from harness.cli.judge import judge_record
from harness.cli.options import DEFAULT_OUT, AsJson, RunDir
from harness.errors import InputError
from harness.input_file import path_of, write_output
from harness.runs.lessons import LESSONS_FILE

if TYPE_CHECKING:
    from harness.record.verdict import Waterfall

_WORTH_SAYING: Final = 0.01
"""A hop with less of a request's time is not told."""


@app.command(short_help="The finished runs of a folder, and what changed.")
def runs(
    form: Annotated[str, typer.Argument(metavar="[html]", help="Also write a page: DIR/index.html.")] = "",
    out: Annotated[Path, typer.Option("--out", metavar="DIR", parser=path_of, help="The folder.")] = DEFAULT_OUT,
    json: AsJson = False,
) -> None:
    """The finished runs of a folder: verdict, grade, findings, and what changed since the last comparable run.

    The page also has the trends of scores, indicators and invariants, each over runs that can be compared: the same
    scenario, stack, class of machine and versions.

    \b
    gatecrash runs
    gatecrash runs --out nightly --json
    gatecrash runs html --out nightly
    """
    from harness.runs.overview import rows
    from harness.runs.past import past_runs

    if form not in ("", "html"):
        raise InputError(f"{form!r} is nothing that runs are shown as", hint="gatecrash runs html")
    past = tuple(past_runs(out))
    found = rows(past)
    page = out / "index.html"
    if form and past:
        from reports import runs_page

        write_output(page, runs_page.render(past).encode("utf-8", "replace"))
    if json:
        print_json([msgspec.to_builtins(row) for row in found])
        return
    if not found:
        tell(f"no finished run in {out}")
        return
    header = ("run", "scenario", "verdict", "grade", "score", "not held", "findings", "since the last comparable run")
    print_table(header, (row.cells for row in found))
    if form:
        tell(f"page: {page}")


@app.command(short_help="What became of the findings, over many runs.")
def findings(
    run: RunDir,
    file: Annotated[
        Path, typer.Option("--file", metavar="FILE", parser=path_of, help="Where they are kept; commit it.")
    ] = LESSONS_FILE,
    accept: Annotated[str, typer.Option("--accept", metavar="ID", help="Accept this finding for a while.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="DATE", help="Of --accept, e.g. 2026-12-24.")] = "",
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Of --accept: who accepts it.")] = "",
    why: Annotated[str, typer.Option("--why", metavar="TEXT", help="Of --accept.")] = "",
    owner: Annotated[
        list[str] | None, typer.Option("--owner", metavar="ID=NAME", help="Who owns a finding; may be repeated.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Add the findings of a run to the file that a team keeps, and show which are new, open, fixed, back or accepted.

    The file needs no earlier run directory. A report that is made beside it says how its findings stand.

    \b
    gatecrash findings runs/20261123-101500-smoke-1a2b
    gatecrash findings runs/20261123-101500-smoke-1a2b --accept ID --until 2026-12-24 --by Ada
    """
    from harness.runs.lessons import Acceptance, accepted, learnt, owned, read_lessons, state, written

    verdict = judge_record(run).verdict
    known = learnt(read_lessons(file), verdict)
    if accept:
        if not by:
            raise InputError("somebody accepts a finding", key="--by", hint="add --by NAME")
        known = accepted(known, verdict.scenario, accept, Acceptance(until=_day(until), by=by, why=why))
    for each in owner or []:
        name, _, who = each.partition("=")
        if not who:
            raise InputError(f"{each!r} names no owner", key="--owner", hint="ID=NAME")
        known = owned(known, verdict.scenario, name, who)
    write_output(file, written(known))
    today = datetime.now(UTC).date()
    lessons = known.of(verdict.scenario)
    if json:
        print_json(
            [msgspec.to_builtins(one) | {"state": state(one, verdict.run_id, today)} for one in lessons.values()]
        )
        return
    header = ("state", "severity", "finding", "id", "runs", "owner")
    rows = (
        (state(one, verdict.run_id, today), one.severity, one.title, one.id, f"{one.runs}", one.owner or "–")
        for one in lessons.values()
    )
    print_table(header, rows)


@app.command(short_help="One fan's story: every step, wait, retry and seat.")
def fan(
    run: RunDir,
    name: Annotated[str, typer.Argument(metavar="NAME", help="fan-000158, or 158; without it: who was unlucky.")] = "",
    json: AsJson = False,
) -> None:
    """One fan's story: every step with its wait, retries and seats, and the faults that were in force.

    Where the fan's journey was traced and kept: where the time of each request went, too.

    \b
    gatecrash fan runs/20261123-101500-smoke-1a2b
    gatecrash fan runs/20261123-101500-smoke-1a2b 158
    """
    from harness.causes import phases, unlucky_stories
    from harness.causes.hops import SpanTree
    from harness.causes.story import story
    from harness.causes.waterfalls import journey
    from harness.record.reader import Record
    from harness.sli.measured import Observations

    record = Record.open(run)
    seen, tree = Observations(record), SpanTree(record.table("spans"))
    stories = [story(seen, name, phases(record, seen))] if name else list(unlucky_stories(record, seen))
    if not stories:
        raise InputError("no fan in the record wanted a ticket", hint="name somebody: gatecrash fan RUN NAME")
    if json:
        print_json([msgspec.to_builtins(told) | {"requests": journey(tree, told.actor)} for told in stories])
        return
    for told in stories:
        typer.echo(f"{told.actor}{f' ({told.why})' if told.why else ''}: {told.sum_up}")
        rows = (
            (f"T{line.t_s:+.3f} s", _took(line.took_s), line.what, line.ended, ", ".join(line.faults))
            for line in told.lines
        )
        print_table(("when", "took", "what", "ended", "fault in force"), rows)
        if requests := journey(tree, told.actor):
            typer.echo()
            print_table(("when", "took", "request", "ended", "where its time went"), map(_request, requests))
        typer.echo()


def _request(fall: Waterfall) -> tuple[str, ...]:
    """A row of the table of requests."""
    from harness.amounts import amount

    spent = ", ".join(f"{hop.name} {amount(hop.mean_ms, 'ms')}" for hop in fall.hops if hop.share >= _WORTH_SAYING)
    return f"T{fall.t_s:+.3f} s", amount(fall.took_ms, "ms"), fall.step, fall.ended, spent


def _took(took_s: float | None) -> str:
    from harness.amounts import amount

    return "" if took_s is None else amount(took_s, "s")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is no date", key="--until", hint="e.g. 2026-12-24") from error
