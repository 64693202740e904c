"""What happened when, as one list: faults, what fans met, recoveries, broken invariants, the end of the sale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from harness.judging.notes import grouped
from harness.record.reader import Record
from harness.record.schema import FaultRun, Struct
from harness.record.verdict import Status, Verdict
from reports import text
from reports.view import words
from reports.view.frames import Frames

_MET: Final = ("timeout", "reset", "refused", "status", "unknown")
"""Errors of a request that a fan would call a failure; others are answers that the rules of the sale ask for."""


class Moment(Struct, frozen=True):
    """One moment. `wall`: on the clock on the wall, to the second; "" where the record does not say."""

    t_s: float
    at: str
    wall: str
    what: str


def moments(record: Record, verdict: Verdict, frames: Frames) -> tuple[Moment, ...]:
    """Everything that has an instant, in order."""
    found = [
        *_course(record, verdict),
        *(told for fault in record.faults.faults for told in _fault(fault)),
        *_first_failures(frames),
        *_causes(verdict),
        *_gaps(verdict),
        *_violations(verdict),
        *((note.t_first_s, f"{note.source}: {note.sentence}") for note in grouped(record.run.anomalies)),
    ]
    known = sorted((t_s, what) for t_s, what in found if t_s is not None)
    return tuple(Moment(t_s, text.at(t_s), _wall(verdict.t0, t_s), what) for t_s, what in known)


def _course(record: Record, verdict: Verdict) -> Iterator[tuple[float | None, str]]:
    if verdict.load is not None and verdict.t0 is not None:
        yield 0.0, f"The release: {text.counted(verdict.load.users_released, 'user')} are let go."
    for exam in verdict.examinations:
        for figure in exam.figures:
            if exam.name == "business" and figure.name == "sold_all_s":
                yield figure.value, "Everything is sold."
    for phase in record.run.phases:
        if phase.name == "settle":
            yield phase.t_start_s, "The crowd is gone; the platform comes to rest."


def _fault(fault: FaultRun) -> Iterator[tuple[float | None, str]]:
    name = f"{fault.experiment} ({fault.kind} on {fault.component})"
    if fault.t_effective_s is None:
        yield fault.t_requested_s, f"{name} is asked for, and was never seen to take effect."
        return
    yield fault.t_effective_s, f"{name} takes effect, as its canary saw."
    if fault.t_healed_s is None:
        yield fault.t_heal_requested_s, f"{name} is to be healed; nobody saw it healed."
    else:
        yield fault.t_healed_s, f"{name} is healed, as its canary saw."


def _first_failures(frames: Frames) -> Iterator[tuple[float | None, str]]:
    """Of each way to fail the first: what a fan noticed first."""
    rows = frames.requests
    for error, failed in rows[rows["error"].isin(_MET)].groupby("error"):
        first = failed.nsmallest(1, "t_end_s").iloc[0]
        what = f"{text.humanise(str(first['step']))}, {words.reason(str(error))}"
        yield (
            float(first["t_end_s"]),
            f"A user meets for the first time: {what} ({text.counted(len(failed), 'request')} in all).",
        )


def _causes(verdict: Verdict) -> Iterator[tuple[float | None, str]]:
    titles = {finding.id: finding.title for finding in verdict.findings}
    for cause in verdict.causes:
        if cause.of in titles:
            until = "" if cause.t_to_s is None else f", until {text.at(cause.t_to_s)}"
            yield cause.t_from_s, f"{titles[cause.of]}: what missed begins{until}."


def _gaps(verdict: Verdict) -> Iterator[tuple[float | None, str]]:
    for fault in verdict.faults:
        for gap in fault.gaps:
            if gap.length_s > gap.bound_s:
                waiting = text.counted(gap.waiting, "user")
                yield gap.t_from_s, f"After {fault.experiment}, {gap.title.lower()}: {waiting} wait, nobody gets one."
                yield gap.t_to_s, f"After {fault.experiment}, {gap.title.lower()}: the first one again."


def _violations(verdict: Verdict) -> Iterator[tuple[float | None, str]]:
    for result in verdict.invariants:
        if result.status is Status.VIOLATED:
            for violation in result.violations:
                known = [step.t_s for step in violation.history if step.t_s is not None]
                yield max(known, default=None), f"{words.invariant(result.name)} is violated: {violation.summary}"


def _wall(t0: str | None, t_s: float) -> str:
    try:
        return f"{datetime.fromisoformat(t0 or '') + timedelta(seconds=t_s):%H:%M:%S}"
    except (ValueError, OverflowError):  # a platform may give a change any time of its own clock
        return ""
