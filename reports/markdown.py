"""Writes report.md: the report in brief, for a pull request or a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from harness.shown import on_one_line
from reports.view import Page
from reports.view.headline import Fact

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~@!])")


def render(page: Page) -> str:
    """The page as GitHub-flavoured Markdown."""
    blocks = [*_headline(page), *_findings(page), *_invariants(page), *_indicators(page), *_paired(page)]
    blocks += _examinations(page)
    blocks += [*_faults(page), *_rest(page)]
    return "\n\n".join(blocks) + "\n"


def _headline(page: Page) -> Iterable[str]:
    head = page.headline
    yield f"# {head.word}"
    grade = f"Grade {head.grade}, score {head.score} of 100" if head.graded else "Not graded"
    yield head.meaning
    yield f"**{grade}.** {_plain(head.reason)}".strip()
    for group in head.why:
        yield f"**{_plain(group.title)}:**\n\n" + "\n".join(
            f"- {_plain(said)} → {_plain(action)}" for said, action in group.lines
        )
    yield f"{_plain(head.scenario)} · {_plain(head.run_id)} · {_plain(head.when)}"
    one = page.page_one
    if one.banner:
        yield f"**Planted bug.** {_plain(one.banner)}"
    if one.business:
        yield "\n".join(_fact(fact) for fact in one.business)
    facts = [_fact(fact) for fact in (*head.load, *one.trust)]
    facts += [f"- {_plain(reason)}" for reason in head.instrument_reasons]
    yield "\n".join(facts) if head.load else "\n\n".join(("No load was delivered.", *facts))
    if one.capacity:
        yield "\n".join(_fact(fact) for fact in one.capacity)
    yield f"**Since the last comparable run:** {_plain(one.change.lede)}"
    if one.change.rows:
        yield "\n".join(f"- {row.state.glyph} {row.state.word}: {_plain(row.text)}" for row in one.change.rows)


def _fact(fact: Fact) -> str:
    return f"- {_plain(fact.label)}: **{_plain(fact.value)}**" + (f" ({_plain(fact.note)})" if fact.note else "")


def _findings(page: Page) -> Iterable[str]:
    yield "## Findings"
    lines = [
        f"{number}. {finding.state.glyph} **{finding.state.word}: {_plain(finding.title)}.** {_plain(finding.evidence)}"
        + (f" Why: {_plain(finding.cause)}" if finding.cause else "")
        + f" ({_plain(finding.standing)})"
        + (f" Runbook: {_plain(finding.runbook)}" if finding.runbook else "")
        for number, finding in enumerate(page.findings, start=1)
    ]
    yield "\n".join(lines) if lines else "No finding."


def _invariants(page: Page) -> Iterable[str]:
    yield "## Invariants"
    rows = [
        (
            f"{row.state.glyph} {row.state.word}",
            _plain(row.title),
            f"`{_code(row.name)}`",
            row.chances,
            row.checked,
            row.unknowns,
        )
        for row in page.invariants
    ]
    header = ("State", "Invariant", "Name", "Chances", "Checked", "Unknown")
    yield _table(header, rows) if rows else "No invariant was checked."
    yield _plain(page.selftest)
    for row in page.invariants:
        for violation in row.violations:
            lines = [f"- {line.at} · {_plain(line.actor)} · {_plain(line.text)}" for line in violation.history]
            yield f"**{_plain(violation.summary)}** (in force: {_plain(violation.faults)})\n\n" + "\n".join(lines)


def _indicators(page: Page) -> Iterable[str]:
    yield "## Indicators"
    rows = [
        (_plain(row.title), row.value, row.objective, f"{row.state.glyph} {row.state.word}", row.score, row.samples)
        for row in page.indicators
    ]
    header = ("Indicator", "Value", "Objective", "Objective is", "Points", "Samples")
    yield _table(header, rows) if rows else "No indicator was measured."


def _paired(page: Page) -> Iterable[str]:
    if page.paired is None:
        return
    yield "## The spike, or the faults?"
    yield "\n".join(_fact(fact) for fact in page.paired.facts) if page.paired.facts else _plain(page.paired.lede)
    if page.paired.left_out:
        yield f"There are no differences to show: {_plain(page.paired.left_out)}"
        return
    yield from (f"**Caution:** {_plain(caution)}" for caution in page.paired.cautions)
    rows = [
        (
            _plain(row.title),
            row.objective,
            row.control,
            row.treatment,
            f"{row.difference.delta} ({row.difference.interval})",
            f"{row.cause.glyph} {row.cause.word}",
        )
        for row in page.paired.objectives
    ]
    header = ("Indicator", "Objective", "Without faults", "With faults", "The faults' part", "Missed by")
    yield _table(header, rows) if rows else "The scenario has no objective."
    if page.paired.faults:
        yield "\n".join(f"- {_plain(fault.name)}: {_plain(fault.sum_up)}" for fault in page.paired.faults)


def _examinations(page: Page) -> Iterable[str]:
    for exam in page.examinations:
        yield f"## {exam.title}"
        rows = [
            (_plain(row.title), _plain(row.value), row.interval, row.samples, _plain(row.note)) for row in exam.rows
        ]
        yield _table(("What", "Value", "95 % interval", "Samples", "Note"), rows) if rows else _plain(exam.note)


def _faults(page: Page) -> Iterable[str]:
    yield "## Faults"
    rows = [
        (
            _plain(fault.name),
            f"{fault.proven.glyph} {fault.proven.word}",
            _plain(row.name),
            _plain(row.expected),
            _plain(row.observed),
            f"{row.state.glyph} {_plain(row.state.word)}",
        )
        for fault in page.faults
        for row in fault.expectations
    ]
    rows += [
        (
            _plain(fault.name),
            f"{fault.proven.glyph} {fault.proven.word}",
            _plain(fault.error) or "none judged",
            "",
            "",
            "",
        )
        for fault in page.faults
        if not fault.expectations
    ]
    header = ("Experiment", "Proven", "Expectation", "Expected", "Observed", "It was")
    yield _table(header, rows) if rows else "Nothing was broken in this run."
    gaps = [
        f"- {_plain(fault.name)}, {gap.title.lower()}: for {gap.length} from {gap.began} nobody got one"
        f" while {gap.waiting} waited: {gap.state.glyph} {gap.state.word}"
        for fault in page.faults
        for gap in fault.gaps
    ]
    if gaps:
        yield "The longest waits in vain after each heal:\n\n" + "\n".join(gaps)


def _rest(page: Page) -> Iterable[str]:
    if page.coverage:
        yield "## Coverage"
        rows = [
            (
                _plain(row.component),
                row.tally,
                "; ".join(f"{cell.state.glyph} {_plain(cell.experiment)}" for cell in row.cells),
            )
            for row in page.coverage
        ]
        yield _table(("Component", "Proven", "Faults"), rows)
    if page.untested:
        yield "## Not tested"
        yield "\n".join(f"- {_plain(gap.what)}: {_plain(gap.why)}" for gap in page.untested)
    yield f"`{_code(page.method.command)}`"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _plain(words: str) -> str:
    """A text from a record without markup, line breaks, control characters and mentions."""
    return _MARKUP.sub(r"\\\1", on_one_line(" ".join(words.split())))


def _code(words: str) -> str:
    return on_one_line(" ".join(words.split())).replace("`", "'").replace("|", "\\|")
