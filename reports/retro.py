"""Writes a retrospective: what the record knows is filled in, what only people know is left open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.record.reader import Record
from harness.record.verdict import Status, Verdict
from harness.runs.past import Past
from reports.markdown import fact_line
from reports.markup import code, plain, table
from reports.view import Page, build, frames, words
from reports.view.moments import Moment, moments

_ASKED = (
    "When did the first fan notice, and when did we?",
    "Which alert fired, and which should have?",
    "Did the runbook help? What did on call type that is not in it?",
    "What would have happened at ten times the fans?",
    "Where were we lucky?",
)
_BLANK = "_to fill in_"


def render(record: Record, verdict: Verdict, past: Past | None = None) -> str:
    """The retrospective as GitHub-flavoured Markdown. `past`: the runs before, and how their findings stand."""
    page = build(record, verdict, past=past)
    happened = moments(record, verdict, frames.read(record))
    blocks = [*_head(page), *_timeline(happened), *_went(page, verdict), *_actions(page), *_open(page)]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _head(page: Page) -> Iterator[str]:
    head, one = page.headline, page.page_one
    yield f"# Retrospective: {plain(head.scenario)}, {plain(head.when)}"
    if one.banner:
        yield f"**Planted bug.** {plain(one.banner)}"
    facts = [f"- Run: `{code(head.run_id)}`", f"- Lead, scribe, on call: {_BLANK}", f"- Present: {_BLANK}"]
    yield "\n".join(facts)
    yield "## In brief"
    graded = f", grade {head.grade} ({head.score} of 100)" if head.graded else ""
    yield f"**{head.word}**{graded}. {plain(head.reason or head.meaning)}"
    yield _list([f"{plain(said)} → {plain(action)}" for group in head.why for said, action in group.lines])
    yield "## What it meant for fans and money"
    yield "\n".join(map(fact_line, one.business)) or "The record does not say."
    yield f"**Since the last comparable run:** {plain(one.change.lede)}"
    yield _list([f"{row.state.glyph} {row.state.word}: {plain(row.text)}" for row in one.change.rows])


def _timeline(happened: Sequence[Moment]) -> Iterator[str]:
    yield "## Timeline"
    yield "The left columns are from the record. Fill in what people saw, guessed and did."
    rows = [(one.at, one.wall, plain(one.what), "") for one in happened]
    yield table(("Release clock", "Wall clock", "What happened", "Seen and done by us"), rows)


def _went(page: Page, verdict: Verdict) -> Iterator[str]:
    yield "## What went well"
    held = [words.invariant(one.name) for one in verdict.invariants if one.status is Status.HELD]
    lines = [f"Held, with {len(held)} invariants put to the test: {plain(', '.join(held))}"] if held else []
    for fault in page.faults:
        met = [plain(row.name) for row in fault.expectations if row.state.tone == "good"]
        lines += [f"{plain(fault.name)}: {', '.join(met)}"] if met else []
    yield _list([*lines, _BLANK])
    yield "## What went wrong, and why"
    yield _list(
        [
            f"{finding.state.glyph} **{plain(finding.title)}.** {plain(finding.evidence)}"
            + (f" Why: {plain(finding.cause)}" if finding.cause else f" Why: {_BLANK}")
            for finding in page.findings
        ]
        or ["No finding."]
    )


def _actions(page: Page) -> Iterator[str]:
    yield "## Actions"
    rows = [
        (plain(finding.title), plain(finding.standing), _BLANK, _BLANK, plain(finding.runbook))
        for finding in page.findings
    ]
    header = ("Finding", "It stands", "Who does what", "Rehearsed again on", "Runbook")
    yield table(header, [*rows, (_BLANK, "", _BLANK, _BLANK, "")])


def _open(page: Page) -> Iterator[str]:
    yield "## Not tested"
    yield _list([f"{plain(gap.what)}: {plain(gap.why)}" for gap in page.untested] or ["Nothing that is known."])
    yield "## Questions"
    yield "\n".join(f"{at}. {question} {_BLANK}" for at, question in enumerate(_ASKED, start=1))
    yield "## Checklist"
    yield "\n".join(f"- [ ] {plain(line)}" for line in page.checklist)
    yield f"Rehearsed with `{code(page.method.command)}`."


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
