"""The section on what this run did not test."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from harness.record.reader import Record
from harness.record.schema import Struct
from harness.record.verdict import InvariantResult, Status, Verdict
from harness.registry.invariants import INVARIANTS
from reports import text
from reports.view import words
from reports.view.judged.indicators import state_of

DEPENDENCIES: Final = ("redis", "postgres", "payments", "feed")
"""What a presale leans on: a run that breaks none of one kind does not show how its loss is borne."""


_OF_A_KIND: Final = ("seats", "stock", "queue", "feed")
"""Capabilities that say what kind of sale it is, rather than what can be seen of it."""


class Gap(Struct, frozen=True):
    """One thing that was not tested, and why."""

    what: str
    why: str


def untested(record: Record, verdict: Verdict) -> tuple[Gap, ...]:
    """Everything that a reader might think was shown and was not."""
    return (
        *_invariants(verdict, record.run.capabilities),
        *_objectives(verdict),
        *_faults(record, verdict),
        *_crowd(record),
        *_record(record),
    )


def _invariants(verdict: Verdict, shown: Collection[str]) -> list[Gap]:
    """Without those about what this platform has not: seats, a queue, a feed. What it lacks was not left untested."""
    whys = {
        Status.NOT_OBSERVABLE: "the platform does not show what is needed to check it",
        Status.UNKNOWN: "the check came to no result",
        Status.NOT_EXERCISED: "nothing in this run could have broken it",
    }
    return [
        Gap(what=words.invariant(result.name), why=_why(result) or whys[result.status])
        for result in verdict.invariants
        if result.status in whys and not _is_foreign(result, shown)
    ]


def _is_foreign(result: InvariantResult, shown: Collection[str]) -> bool:
    known = INVARIANTS.get(result.name)
    needs = known.needs if known else ()
    return result.status is Status.NOT_OBSERVABLE and any(one in _OF_A_KIND and one not in shown for one in needs)


def _why(result: InvariantResult) -> str:
    if result.status is Status.NOT_EXERCISED and result.chance:
        return f"it takes {result.chance}, and there were none"
    return result.note


def _objectives(verdict: Verdict) -> list[Gap]:
    why = "there is an objective but no sample: unknown, not met"
    return [
        Gap(what=sli.title or text.sentence(sli.name), why=sli.note or why)
        for sli in verdict.slis
        if state_of(sli) == "no_samples"
    ]


def _faults(record: Record, verdict: Verdict) -> list[Gap]:
    broken = [fault.component for fault in record.faults.faults if fault.t_effective_s is not None]
    never = [name for name in _dependencies(record) if not any(_is_of(component, name) for component in broken)]
    gaps = [Gap(what=f"Loss of {name}", why="no fault of this kind took effect in this run") for name in never]
    for fault in verdict.faults:
        if not fault.proven:
            gaps.append(Gap(what=fault.experiment, why=fault.error or "its canary never proved that it took effect"))
        gaps += [
            Gap(what=f"{fault.experiment}: {text.humanise(expectation.name)}", why=expectation.observed)
            for expectation in fault.expectations
            if expectation.status in ("unknown", "not_exercised")
        ]
    return gaps


def _dependencies(record: Record) -> tuple[str, ...]:
    """What could have been broken: of a platform of the user's own its edges and parts."""
    own = record.run.scenario.get("platform")
    if not isinstance(own, dict):
        return DEPENDENCIES
    return (*own.get("edges", {}), *own.get("parts", {}))


def _is_of(component: str, dependency: str) -> bool:
    """Whether a fault on `component` broke that dependency: feed is broken with feed_1."""
    return component == dependency or (dependency in DEPENDENCIES and component.startswith(dependency))


def _crowd(record: Record) -> list[Gap]:
    if "queue" not in record.run.capabilities:
        return []
    kinds = set(record.table("requests").column("kind").unique().to_pylist())
    return [] if "bot" in kinds else [Gap(what="Bots", why="none came in this scenario")]


def _record(record: Record) -> list[Gap]:
    gaps = []
    if not record.table("metrics").num_rows:
        gaps.append(Gap(what="The platform from inside", why="no metrics were recorded: queue depth, breakers, lag"))
    if not record.run.complete:
        gaps.append(Gap(what="Whatever came after the record breaks off", why="the record is incomplete"))
    return gaps
