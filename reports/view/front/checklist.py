"""What people must decide or look at themselves, because no rehearsal can: from the verdict, then what is always so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from harness.record.verdict import Coverage, Verdict
from reports import text

_ALWAYS: Final = (
    "Somebody is named who may pause the queue or stop the sale, and who is on call for each component.",
    "The platform on the day is the one that was rehearsed: same version, same settings, same sizes.",
    "What the rehearsal did not pass through is ready: CDN, DNS, the bank's own limits, mail, the ticket scanner.",
    "Fans and support know the rules: when it opens, how many each may buy, what happens when it is sold out.",
)
_MOST: Final = 5


def checklist(verdict: Verdict) -> tuple[str, ...]:
    """Short lines, those of this run first."""
    return (*_of_this_run(verdict), *_ALWAYS)


def _of_this_run(verdict: Verdict) -> Iterator[str]:
    to_own = [finding for finding in verdict.findings if finding.severity in ("critical", "major")]
    for finding in to_own[:_MOST]:
        yield f"An owner and a date for: {finding.title}."
    if len(to_own) > _MOST:
        yield f"An owner and a date for {text.count(len(to_own) - _MOST)} more findings."
    never = sorted({one.component for one in verdict.coverage} - {one.component for one in _proven(verdict)})
    if never:
        yield f"It is accepted that no fault of these was rehearsed: {', '.join(never)}."


def _proven(verdict: Verdict) -> list[Coverage]:
    return [one for one in verdict.coverage if one.status == "proven"]
