"""Draws a random schedule of experiments from a seed, for soak runs. Pure: same seed, same schedule."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.specification.experiment import Experiment
from harness.errors import InputError

FIRST_S: Final = 5.0
"""Nothing is broken before this, so that there is something to compare with."""
REST_S: Final = 10.0
"""From one heal to the next fault, and from the last heal to the end, at least."""


class Drawn(msgspec.Struct, frozen=True):
    """One fault as a scenario writes it."""

    experiment: str
    start_s: float
    length_s: float


def draw(seed: int, experiments: Sequence[Experiment], count: int, duration_s: float) -> tuple[Drawn, ...]:
    """Draw `count` experiments, one after another, with their times, from `seed`; each is drawn once before any is
    drawn twice. Raises InputError when they do not fit into `duration_s`.
    """
    dice = random.Random(f"soak-{seed}")
    order: list[Experiment] = []
    while len(order) < count:
        order += dice.sample(experiments, len(experiments))
    chosen = order[:count]
    needed_s = FIRST_S + sum(one.length_s + REST_S for one in chosen)
    if needed_s > duration_s:
        raise InputError(
            f"{count} random faults need {needed_s:g} s and the run lasts {duration_s:g} s",
            key="--random-faults",
            hint=f"ask for fewer, or --set duration_s={needed_s:g}",
        )
    spare_s = duration_s - needed_s
    delays_s = sorted(dice.uniform(0, spare_s) for _ in chosen)
    drawn, at_s = [], FIRST_S
    for one, delay_s in zip(chosen, delays_s, strict=True):
        drawn.append(Drawn(one.name, round(at_s + delay_s, 2), one.length_s))
        at_s += one.length_s + REST_S
    return tuple(drawn)
