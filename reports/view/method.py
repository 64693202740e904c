"""How the run was made and how its numbers are defined, so that another can repeat and doubt it."""

from __future__ import annotations

import shlex
from typing import Final

from harness.record.reader import Record
from harness.record.schema import RunDocument, Struct
from harness.record.verdict import Verdict
from reports import text

DEFINITIONS: Final = (
    ("T0", "The release instant. Every time in this report is relative to it, from monotonic clocks."),
    ("Response time", "From the instant the user meant to send to the last byte: waiting to be sent counts."),
    ("Service time", "From the first byte sent to the last byte received. For streams, both end at the first event."),
    ("Percentiles", "Nearest rank: always a value that was seen. Refused requests are left out, since they answer at "
     "once and would flatter; cut ones count with the time that was waited. What the end of the run cut is left out."),
    ("Unknown", "A time-out or a cut connection: it may have happened. Never counted as a success or as a failure."),
    ("Score", "100 at the objective, 0 at the stated worst, a straight line between. A ≥ 90, B ≥ 80, C ≥ 70, D ≥ 60."),
    ("Invariant", "What must never be false. Held only if it was checked; a violation makes the grade F."),
    ("Proven", "A canary, independent of the load, saw the fault take effect and saw it healed."),
)  # fmt: skip


class Method(Struct, frozen=True):
    """The section on how it was measured."""

    command: str
    facts: tuple[tuple[str, str], ...]
    versions: tuple[tuple[str, str], ...]
    phases: tuple[tuple[str, str, str], ...]
    processes: str
    definitions: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, str], ...]


def platform_of(run: RunDocument) -> str:
    """Which platform it was, in words."""
    own = run.scenario.get("platform")
    if not isinstance(own, dict):
        return run.stack
    return f"a platform of your own at {own.get('url') or 'an unknown address'} ({own.get('adapter') or 'its adapter'})"


def method(record: Record, verdict: Verdict) -> Method:
    """From the record alone."""
    run = record.run
    offsets = ", ".join(f"{name} {text.milliseconds(ms)}" for name, ms in sorted(run.clock_offsets_ms.items()))
    facts = (
        ("Seed", str(verdict.seed)),
        ("Journey digest", run.journey_digest[:16] or "not recorded"),
        ("Platform", platform_of(run)),
        ("It shows", ", ".join(sorted(text.humanise(name) for name in run.capabilities)) or "nothing declared"),
        ("Clock offsets", offsets or "not recorded"),
        ("Workers", text.count(len(run.load.workers)) if run.load else "not recorded"),
        ("Journeys cut by the end", text.count(run.load.unfinished) if run.load else "not recorded"),
    )
    versions = {**(verdict.versions or run.versions)}
    versions |= {f"plugin {one.name}": f"{one.package} {one.version}" for one in verdict.plugins or run.plugins}
    return Method(
        command=shlex.join(verdict.command or run.command),
        facts=facts,
        versions=tuple(sorted(versions.items())),
        phases=tuple((phase.name, text.at(phase.t_start_s), text.at(phase.t_end_s)) for phase in run.phases),
        processes=", ".join(process.name for process in run.processes),
        definitions=DEFINITIONS,
        files=tuple(sorted(verdict.record.items())),
    )
