"""Plans when each fault is injected and healed, on the release clock. Pure: plans in, ordered steps out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from chaos.specification.expected import Reconnects, Recovers, VerbsRecover
from chaos.specification.experiment import Experiment
from chaos.specification.fault import Drop
from harness.errors import InputError


class Planned(msgspec.Struct, frozen=True):
    """An experiment with its time in the run. `length_s` null: the experiment's own length.

    `healed_on_request`: the user may heal it at any time, so its length proves nothing. `by_hand`: a person is to heal
    it from outside this process.
    """

    experiment: Experiment
    start_s: float
    length_s: float | None = None
    healed_on_request: bool = False
    by_hand: bool = False

    @property
    def lasts_s(self) -> float:
        """How long its faults stay in force."""
        return self.experiment.length_s if self.length_s is None else self.length_s

    @property
    def end_s(self) -> float:
        """When its faults are healed."""
        return self.start_s + self.lasts_s


WATCH_LEAD_S: Final = 1.0
"""How long before its fault a canary begins, so that it has seen the dependency healthy."""


class Kind(StrEnum):
    """What a step does. Steps of one instant are done in this order, so that a window may begin when another ends."""

    WATCH = "watch"
    HEAL = "heal"
    INJECT = "inject"
    REPEAT = "repeat"


class Step(msgspec.Struct, frozen=True):
    """One action at `t_s` on these `faults` (indices) of the `planned`-th experiment."""

    t_s: float
    kind: Kind
    planned: int
    faults: tuple[int, ...]


def schedule(planned: Sequence[Planned], duration_s: float = math.inf) -> tuple[Step, ...]:
    """The steps in the order in which they are due. Raises InputError for a plan that cannot be carried out.

    Experiments may overlap, but not on one proxy, because then neither could be proven.
    """
    for at, plan in enumerate(planned):
        _check(plan, at, duration_s)
        for earlier in range(at):
            _refuse_conflict(planned[earlier], plan, at)
    steps = [step for at, plan in enumerate(planned) for step in _steps(plan, at)]
    order = list(Kind)
    return tuple(sorted(steps, key=lambda step: (step.t_s, order.index(step.kind), step.planned)))


def _check(plan: Planned, at: int, duration_s: float) -> None:
    if plan.start_s < 0:
        raise InputError("a fault cannot start before the release", key=f"faults[{at}].start_s", hint="0 or later")
    if plan.lasts_s <= 0:
        raise InputError("expected a time above 0 s", key=f"faults[{at}].length_s")
    if plan.lasts_s < plan.experiment.shortest_s:
        raise InputError(
            f"{plan.experiment.name} cannot be proven in {plan.lasts_s:g} s",
            key=f"faults[{at}].length_s",
            hint=f"its canary needs at least {plan.experiment.shortest_s:g} s",
        )
    if plan.end_s > duration_s:
        raise InputError(
            f"{plan.experiment.name} ends at {plan.end_s:g} s, after the end of the run at {duration_s:g} s",
            key=f"faults[{at}].start_s",
            hint="start it earlier, shorten it, or raise duration_s",
        )

    for name, seen_from_s in _seen_from_s(plan):
        if seen_from_s >= duration_s:
            raise InputError(
                f"{plan.experiment.name} expects {name!r}, of which nothing can be seen before {seen_from_s:g} s, "
                f"and the run ends at {duration_s:g} s",
                key=f"faults[{at}].start_s",
                hint="start it earlier, shorten it, or raise duration_s",
            )


def _seen_from_s(plan: Planned) -> Iterator[tuple[str, float]]:
    """The expectations about the time after the fault, each with the instant from which it looks at users."""
    for one in plan.experiment.expectations:
        if isinstance(one, Recovers | VerbsRecover):
            yield one.name, plan.end_s + one.within_s
        elif isinstance(one, Reconnects):
            yield one.name, plan.start_s + one.within_s


def _refuse_conflict(one: Planned, other: Planned, at: int) -> None:
    shared = one.experiment.places & other.experiment.places
    if shared and one.start_s < other.end_s and other.start_s < one.end_s:
        raise InputError(
            f"{one.experiment.name} and {other.experiment.name} break {', '.join(sorted(shared))} at the same time",
            key=f"faults[{at}].start_s",
            hint=f"start it at {one.end_s:g} s or later",
        )


def _steps(plan: Planned, at: int) -> list[Step]:
    faults = plan.experiment.faults
    repeats: dict[float, list[int]] = {}
    first = []
    for index, fault in enumerate(faults):
        ratios = fault.at_ratio if isinstance(fault, Drop) else (0.0,)
        for ratio in ratios:
            if ratio == 0:
                first.append(index)
            else:
                repeats.setdefault(ratio, []).append(index)
    steps = [
        Step(plan.start_s - WATCH_LEAD_S, Kind.WATCH, at, ()),
        Step(plan.start_s, Kind.INJECT, at, tuple(first)),
    ]
    for ratio, indices in repeats.items():
        steps.append(Step(plan.start_s + ratio * plan.lasts_s, Kind.REPEAT, at, tuple(indices)))
    steps.append(Step(plan.end_s, Kind.HEAL, at, tuple(range(len(faults)))))
    return steps
