"""Prints a violation on the command line: the invariant, and the shortest history that breaks it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.record.verdict import HistoryStep, InvariantResult, Status


def counter_examples(results: Sequence[InvariantResult]) -> Iterator[str]:
    """One line per step: the first violation of each violated invariant, with the faults then in force."""
    for result in results:
        if result.status is Status.VIOLATED and result.violations:
            first = result.violations[0]
            yield f"{result.name}: {first.summary}"
            yield from (f"    {moment(step):>12}  {told(step)}" for step in first.history)
            if first.faults:
                yield f"    in force then: {', '.join(first.faults)}"


def moment(step: HistoryStep) -> str:
    """When a step happened, in s after T0."""
    return "at rest" if step.t_s is None else f"{step.t_s:+.3f} s"


def told(step: HistoryStep) -> str:
    """The step's text, with the actor in front when the text does not name the actor."""
    return step.text if step.text.startswith(step.actor) else f"{step.actor}: {step.text}"
