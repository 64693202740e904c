"""Compares two finished runs for people: verdicts, invariants, findings, then figures by indicator and by phase."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from harness.record.schema import Struct
from harness.record.verdict import Finding, Paired, PairedDelta, PairedRow, Verdict
from harness.runs.change import USUAL, Change, SmallestEffect, change
from reports import text
from reports.markup import plain, table
from reports.templating import rendered
from reports.view import words
from reports.view.front.changes import ChangeRow, change_rows, in_brief
from reports.view.paired import cell, quantity
from reports.view.words import State

_HEADER: Final = ("What", "Base", "Run", "Difference", "95 % interval", "Effect")


class CompareRow(Struct, frozen=True):
    """One difference, ready to print. `when`: the whole run, or a phase of a fault."""

    when: str
    title: str
    base: str
    run: str
    difference: str
    interval: str
    effect: str


class StatusPair(Struct, frozen=True):
    """An invariant in both runs; null where one does not know it."""

    title: str
    base: State | None
    run: State | None
    effect: str


class Comparison(Struct, frozen=True):
    """The page, whole. `findings`: those that are new, gone or in both. `unlike`: why base and run are not alike."""

    base: str
    run: str
    answer: str
    tone: str
    lines: tuple[tuple[str, str], ...]
    unlike: str
    cautions: tuple[str, ...]
    changes: tuple[ChangeRow, ...]
    invariants: tuple[StatusPair, ...]
    findings: tuple[tuple[State, Finding], ...]
    tables: tuple[tuple[str, tuple[CompareRow, ...]], ...]
    smallest: str


def comparison(base: Verdict, run: Verdict, found: Paired, unlike: str, smallest: SmallestEffect = USUAL) -> Comparison:
    """The page for two runs of one scenario. `found`: their figures held against each other."""
    changed = change(base, run, smallest)
    return Comparison(
        base=base.run_id,
        run=run.run_id,
        answer="Worse than base" if changed.is_regression else "Not worse than base",
        tone="bad" if changed.is_regression else "good",
        lines=(("Base", f"{base.run_id}: {in_brief(base)}"), ("Run", f"{run.run_id}: {in_brief(run)}")),
        unlike=unlike,
        cautions=found.cautions,
        changes=tuple(change_rows(changed)),
        invariants=tuple(_invariants(base, run, changed)),
        findings=tuple(_findings(base, run)),
        tables=tuple((when, tuple(group)) for when, group in groupby(rows(found, smallest), lambda row: row.when)),
        smallest=smallest.in_words,
    )


def html(page: Comparison) -> str:
    """The page as one HTML file."""
    return rendered("compare.html.j2", page=page, header=_HEADER)


def markdown(page: Comparison) -> str:
    """The page as GitHub-flavoured Markdown."""
    return "\n\n".join(_blocks(page)) + "\n"


def rows(found: Paired, smallest: SmallestEffect = USUAL) -> Iterator[CompareRow]:
    """A row for every indicator over the whole run, then for what was worse or better in a phase of a fault."""
    for row in found.indicators:
        yield _row("whole run", row, row.whole, smallest)
    for phase in found.phases:
        for row in (*found.indicators, *found.retries):
            for part in row.phases:
                same = (part.fault, part.phase) == (phase.fault, phase.phase)
                if same and part.delta.effect in ("worse", "better"):
                    yield _row(f"{phase.phase} {phase.fault}", row, part.delta, smallest)


def _row(when: str, row: PairedRow, delta: PairedDelta, least: SmallestEffect) -> CompareRow:
    shown = cell(delta, row.unit)
    return CompareRow(
        when=when,
        title=row.title,
        base=quantity(delta.control, row.unit),
        run=quantity(delta.treatment, row.unit),
        difference=shown.delta,
        interval=shown.interval,
        effect=shown.state.word + _too_small(delta, least) if shown.state else "",
    )


def _too_small(delta: PairedDelta, least: SmallestEffect) -> str:
    """An effect that is there, and so small that it need not matter."""
    if delta.effect not in ("worse", "better") or delta.control is None or delta.treatment is None:
        return ""
    is_small = not least.is_reached(delta.control, delta.treatment)
    return f", by less than {text.quantity(least.share, 'ratio')}" if is_small else ""


def _invariants(base: Verdict, run: Verdict, changed: Change) -> Iterator[StatusPair]:
    before = {one.name: one.status for one in base.invariants}
    now = {one.name: one.status for one in run.invariants}
    effects = {one.name: one.effect for one in changed.invariants}
    for name in dict.fromkeys((*now, *before)):
        yield StatusPair(
            title=words.invariant(name),
            base=words.state(before[name].value) if name in before else None,
            run=words.state(now[name].value) if name in now else None,
            effect=effects.get(name, ""),
        )


def _findings(base: Verdict, run: Verdict) -> Iterator[tuple[State, Finding]]:
    before, now = {one.id for one in base.findings}, {one.id for one in run.findings}
    yield from ((words.state("finding_new"), one) for one in run.findings if one.id not in before)
    yield from ((words.state("finding_gone"), one) for one in base.findings if one.id not in now)
    yield from ((words.state("finding_both"), one) for one in run.findings if one.id in before)


def _blocks(page: Comparison) -> Iterator[str]:
    yield f"# {page.answer}"
    yield "\n".join(f"- {name}: **{plain(said)}**" for name, said in page.lines)
    if page.unlike:
        yield f"**Caution:** base and run are not alike: {plain(page.unlike)}."
    yield from (f"**Caution:** {plain(caution)}" for caution in page.cautions)
    yield "## What changed"
    yield "\n".join(f"- {row.state.glyph} {row.state.word}: {plain(row.text)}" for row in page.changes) or "Nothing."
    yield plain(page.smallest)
    yield "## Invariants"
    cells = [(plain(one.title), _mark(one.base), _mark(one.run), one.effect) for one in page.invariants]
    yield table(("Invariant", "Base", "Run", "Effect"), cells) if cells else "None was checked."
    yield "## Findings"
    lines = [f"- {state.glyph} {state.word}: {plain(one.title)}. {plain(one.evidence)}" for state, one in page.findings]
    yield "\n".join(lines) or "None in either run."
    for when, group in page.tables:
        yield f"## Figures: {plain(when)}"
        yield table(_HEADER, [tuple(map(plain, _cells(row))) for row in group])


def _cells(row: CompareRow) -> tuple[str, ...]:
    return row.title, row.base, row.run, row.difference, row.interval, row.effect


def _mark(state: State | None) -> str:
    return text.ABSENT if state is None else f"{state.glyph} {state.word}"
