"""Writes report.md: the report in brief, for a pull request or a chat."""

from __future__ import annotations

from collections.abc import Iterable

from reports.markup import code, plain, table
from reports.view import Page
from reports.view.front.headline import Fact


def render(page: Page) -> str:
    """The page as GitHub-flavoured Markdown."""
    blocks = [*_headline(page), *_findings(page), *_invariants(page), *_indicators(page), *_paired(page)]
    blocks += [*_examinations(page), *_plugins(page)]
    blocks += [*_faults(page), *_rest(page)]
    return "\n\n".join(blocks) + "\n"


def _headline(page: Page) -> Iterable[str]:
    head = page.headline
    yield f"# {head.word}"
    grade = f"Grade {head.grade}, score {head.score} of 100" if head.graded else "Not graded"
    yield head.meaning
    yield f"**{grade}.** {plain(head.reason)}".strip()
    for group in head.why:
        yield f"**{plain(group.title)}:**\n\n" + "\n".join(
            f"- {plain(said)} → {plain(action)}" for said, action in group.lines
        )
    yield f"{plain(head.scenario)} · {plain(head.run_id)} · {plain(head.when)}"
    one = page.page_one
    if one.banner:
        yield f"**Planted bug.** {plain(one.banner)}"
    if one.business:
        yield "\n".join(fact_line(fact) for fact in one.business)
    facts = [fact_line(fact) for fact in (*head.load, *one.trust)]
    facts += [f"- {plain(reason)}" for reason in head.instrument_reasons]
    yield "\n".join(facts) if head.load else "\n\n".join(("No load was delivered.", *facts))
    if one.capacity:
        yield "\n".join(fact_line(fact) for fact in one.capacity)
    yield f"**Since the last comparable run:** {plain(one.change.lede)}"
    if one.change.rows:
        yield "\n".join(f"- {row.state.glyph} {row.state.word}: {plain(row.text)}" for row in one.change.rows)


def fact_line(fact: Fact) -> str:
    """A list item."""
    return f"- {plain(fact.label)}: **{plain(fact.value)}**" + (f" ({plain(fact.note)})" if fact.note else "")


def _findings(page: Page) -> Iterable[str]:
    yield "## Findings"
    lines = [
        f"{number}. {finding.state.glyph} **{finding.state.word}: {plain(finding.title)}.** {plain(finding.evidence)}"
        + (f" Why: {plain(finding.cause)}" if finding.cause else "")
        + f" ({plain(finding.standing)})"
        + (f" Runbook: {plain(finding.runbook)}" if finding.runbook else "")
        for number, finding in enumerate(page.findings, start=1)
    ]
    yield "\n".join(lines) if lines else "No finding."


def _invariants(page: Page) -> Iterable[str]:
    yield "## Invariants"
    rows = [
        (
            f"{row.state.glyph} {row.state.word}",
            plain(row.title),
            f"`{code(row.name)}`",
            row.chances,
            row.checked,
            row.unknowns,
        )
        for row in page.invariants
    ]
    header = ("State", "Invariant", "Name", "Chances", "Checked", "Unknown")
    yield table(header, rows) if rows else "No invariant was checked."
    yield plain(page.selftest)
    for row in page.invariants:
        for violation in row.violations:
            lines = [f"- {line.at} · {plain(line.actor)} · {plain(line.text)}" for line in violation.history]
            yield f"**{plain(violation.summary)}** (in force: {plain(violation.faults)})\n\n" + "\n".join(lines)


def _indicators(page: Page) -> Iterable[str]:
    yield "## Indicators"
    rows = [
        (plain(row.title), row.value, row.objective, f"{row.state.glyph} {row.state.word}", row.score, row.samples)
        for row in page.indicators
    ]
    header = ("Indicator", "Value", "Objective", "Objective is", "Points", "Samples")
    yield table(header, rows) if rows else "No indicator was measured."


def _paired(page: Page) -> Iterable[str]:
    if page.paired is None:
        return
    yield "## The spike, or the faults?"
    yield "\n".join(fact_line(fact) for fact in page.paired.facts) if page.paired.facts else plain(page.paired.lede)
    if page.paired.left_out:
        yield f"There are no differences to show: {plain(page.paired.left_out)}"
        return
    yield from (f"**Caution:** {plain(caution)}" for caution in page.paired.cautions)
    rows = [
        (
            plain(row.title),
            row.objective,
            row.control,
            row.treatment,
            f"{row.difference.delta} ({row.difference.interval})",
            f"{row.cause.glyph} {row.cause.word}",
        )
        for row in page.paired.objectives
    ]
    header = ("Indicator", "Objective", "Without faults", "With faults", "The faults' part", "Missed by")
    yield table(header, rows) if rows else "The scenario has no objective."
    if page.paired.faults:
        yield "\n".join(f"- {plain(fault.name)}: {plain(fault.sum_up)}" for fault in page.paired.faults)


def _examinations(page: Page) -> Iterable[str]:
    for exam in page.examinations:
        yield f"## {exam.title}"
        rows = [(plain(row.title), plain(row.value), row.interval, row.samples, plain(row.note)) for row in exam.rows]
        yield table(("What", "Value", "95 % interval", "Samples", "Note"), rows) if rows else plain(exam.note)


def _plugins(page: Page) -> Iterable[str]:
    for section in page.plugins:
        yield f"## {plain(section.title)}"
        yield f"Of the plugin {plain(section.plugin)}. {plain(section.text)}".strip()
        if section.rows:
            yield table([plain(one) for one in section.columns], [[plain(c) for c in row] for row in section.rows])


def _faults(page: Page) -> Iterable[str]:
    yield "## Faults"
    rows = [
        (
            plain(fault.name),
            f"{fault.proven.glyph} {fault.proven.word}",
            plain(row.name),
            plain(row.expected),
            plain(row.observed),
            f"{row.state.glyph} {plain(row.state.word)}",
        )
        for fault in page.faults
        for row in fault.expectations
    ]
    rows += [
        (
            plain(fault.name),
            f"{fault.proven.glyph} {fault.proven.word}",
            plain(fault.error) or "none judged",
            "",
            "",
            "",
        )
        for fault in page.faults
        if not fault.expectations
    ]
    header = ("Experiment", "Proven", "Expectation", "Expected", "Observed", "It was")
    yield table(header, rows) if rows else "Nothing was broken in this run."
    gaps = [
        f"- {plain(fault.name)}, {gap.title.lower()}: for {gap.length} from {gap.began} nobody got one"
        f" while {gap.waiting} waited: {gap.state.glyph} {gap.state.word}"
        for fault in page.faults
        for gap in fault.gaps
    ]
    for fault in page.faults:
        if fault.by_hand:
            told = ", ".join(f"{one.name} {one.at}" + (f" ({one.note})" if one.note else "") for one in fault.by_hand)
            yield f"{plain(fault.name)}, by a person with the runbook: {told}. {plain(fault.said)}".strip()
    if gaps:
        yield "The longest waits in vain after each heal:\n\n" + "\n".join(gaps)


def _rest(page: Page) -> Iterable[str]:
    if page.coverage:
        yield "## Coverage"
        rows = [
            (
                plain(row.component),
                row.tally,
                "; ".join(f"{cell.state.glyph} {plain(cell.experiment)}" for cell in row.cells),
            )
            for row in page.coverage
        ]
        yield table(("Component", "Proven", "Faults"), rows)
    if page.untested:
        yield "## Not tested"
        yield "\n".join(f"- {plain(gap.what)}: {plain(gap.why)}" for gap in page.untested)
    yield f"`{code(page.method.command)}`"
