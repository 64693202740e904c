"""Writes comment.md: the verdict and the three findings to act on first, as a comment on a pull request.

A comment on GitHub has at most 65,536 characters, and one on GitLab a million; it stays below the smaller bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reports.markdown import fact_line
from reports.markup import code, plain
from reports.view import Page

BYTES_MAX: Final = 64_000
_TEXT_MAX: Final = 600  # of one text from a record


def render(page: Page) -> str:
    """The page in brief, as GitHub-flavoured Markdown of at most `BYTES_MAX` bytes."""
    whole = ""
    for block in filter(None, _blocks(page)):
        longer = f"{whole}{block}\n\n"
        if len(longer.encode()) > BYTES_MAX:
            break
        whole = longer
    return whole.rstrip("\n") + "\n"


def _blocks(page: Page) -> Iterator[str]:
    head, one = page.headline, page.page_one
    grade = f", grade {head.grade} ({head.score} of 100)" if head.graded else ""
    yield f"### gatecrash: {head.word}{grade}"
    yield _short(head.reason or head.meaning)
    if one.banner:
        yield f"**Planted bug.** {_short(one.banner)}"
    for group in head.why:
        yield "\n".join(f"- {_short(said)} → {_short(action)}" for said, action in group.lines)
    if one.top:
        yield "**Act on these first**"
    for number, finding in one.top:
        why = f" Why: {_short(finding.cause)}" if finding.cause else ""
        yield f"{number}. {finding.state.glyph} **{_short(finding.title)}.** {_short(finding.gist)}{why}"
    yield f"**Since the last comparable run:** {_short(one.change.lede)}"
    yield "\n".join(f"- {row.state.glyph} {row.state.word}: {_short(row.text)}" for row in one.change.rows)
    if one.business:
        yield "<details><summary>The sale</summary>\n\n" + "\n".join(map(fact_line, one.business)) + "\n\n</details>"
    held = plain(one.invariants) or "none checked"
    yield f"Invariants: {held}. Run `{code(head.run_id)}`: its report.html has the rest."


def _short(text: str) -> str:
    return plain(text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}…")
