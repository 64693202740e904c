"""Policies for the admission rate: a fixed rate, or one that follows the share of holds that meet a taken seat.

Pure: policies and meters take totals and return numbers; they do not wait, read no clock and know nothing of seats.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

if TYPE_CHECKING:
    from target.settings import Settings

OBSERVE_S: Final = 1.0
"""A policy is told this often."""
CONFLICT_MEMORY_S: Final = 4.0  # the weight of older holds falls by a factor e in this time
HOLDS_MIN: Final = 5.0  # fewer holds (weighted) give no ratio
SHOW_WINDOW_S: Final = 60.0
SHOW_RATIO_MIN: Final = 0.25  # the bound on the correction for fans who do not come
GAIN: Final = 0.25
RAISE_MAX: Final = 1.15  # largest change in one step; slow up, fast down
LOWER_MAX: Final = 0.6


class Feedback(msgspec.Struct, frozen=True):
    """What a policy knows. `conflict_ratio` null: too few holds. `show_ratio`: share of admitted fans who entered."""

    conflict_ratio: float | None = None
    show_ratio: float = 1.0


class RatePolicy(Protocol):
    """The rate at which fans are admitted."""

    @property
    def burst(self) -> int:
        """The most fans that may be admitted at once, after a quiet time."""

    def rate_per_s(self) -> float:
        """The rate from now on."""

    def observe(self, feedback: Feedback) -> None:
        """Takes what admitted fans did; called every `OBSERVE_S`."""


class FixedRate:
    """The same rate all the time."""

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self.burst = burst

    def rate_per_s(self) -> float:
        """The fixed rate."""
        return self._rate_per_s

    def observe(self, feedback: Feedback) -> None:
        """Changes nothing."""


class AdaptiveRate:
    """Aims at a share of conflicts: with more conflicts it admits fewer fans, with fewer conflicts more.

    The rate means fans who really enter; it makes up for fans who do not, but never beyond the ceiling. A
    multiplicative integral controller: rate ← rate · exp(GAIN · (target − ratio) / target), each step within its
    limits.
    """

    def __init__(
        self, first_per_s: float, burst: int, *, floor_per_s: float, ceiling_per_s: float, target_ratio: float
    ) -> None:
        self.burst = burst
        self._floor_per_s = min(floor_per_s, ceiling_per_s)
        self._ceiling_per_s = ceiling_per_s
        self._target_ratio = target_ratio
        self._arrivals_per_s = self._bounded(first_per_s)
        self._show_ratio = 1.0

    def rate_per_s(self) -> float:
        """The present rate, between floor and ceiling."""
        return self._bounded(self._arrivals_per_s / self._show_ratio)

    def observe(self, feedback: Feedback) -> None:
        """One step. Without enough holds the rate stays, because silence is no reason to admit more fans."""
        self._show_ratio = max(SHOW_RATIO_MIN, min(1.0, feedback.show_ratio))
        if feedback.conflict_ratio is None:
            return
        error = self._target_ratio - feedback.conflict_ratio
        step = math.exp(GAIN * error / max(self._target_ratio, 0.01))
        self._arrivals_per_s = self._bounded(self._arrivals_per_s * min(RAISE_MAX, max(LOWER_MAX, step)))

    def _bounded(self, rate_per_s: float) -> float:
        return min(self._ceiling_per_s, max(self._floor_per_s, rate_per_s))


class ConflictMeter:
    """The share of recent holds that met a taken seat, from totals; recent holds weigh more."""

    def __init__(self) -> None:
        self._seen = (0, 0)
        self._holds = 0.0
        self._conflicts = 0.0

    def update(self, holds: int, conflicts: int, *, after_s: float) -> float | None:
        """The ratio now, `after_s` since the last call; None while there are too few holds."""
        was_holds, was_conflicts = self._seen
        self._seen = (holds, conflicts)
        if holds < was_holds or conflicts < was_conflicts:  # the counts were lost and begin again
            was_holds = was_conflicts = 0
        fade = math.exp(-after_s / CONFLICT_MEMORY_S)
        self._holds = self._holds * fade + holds - was_holds
        self._conflicts = self._conflicts * fade + conflicts - was_conflicts
        return self._conflicts / self._holds if self._holds >= HOLDS_MIN else None


class ShowMeter:
    """The share of admitted fans who entered, over the last `SHOW_WINDOW_S`, from totals."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int, int]] = deque()

    def update(self, entered: int, missed: int, *, now_s: float) -> float:
        """The ratio now; 1 while no fan was admitted. `missed` may fall, because some fans enter late."""
        if self._seen and entered < self._seen[-1][1]:  # the counts were lost and begin again
            self._seen.clear()
        self._seen.append((now_s, entered, missed))
        while now_s - self._seen[0][0] > SHOW_WINDOW_S:
            self._seen.popleft()
        _, was_entered, was_missed = self._seen[0]
        came, stayed_away = entered - was_entered, max(0, missed - was_missed)
        return came / (came + stayed_away) if came + stayed_away else 1.0


def policy_of(settings: Settings) -> RatePolicy:
    """The policy that the settings ask for."""
    if settings.admission == "fixed":
        return FixedRate(settings.admission_rate_per_s, settings.admission_burst)
    return AdaptiveRate(
        settings.admission_rate_per_s,
        settings.admission_burst,
        floor_per_s=settings.admission_floor_per_s,
        ceiling_per_s=settings.admission_ceiling_per_s,
        target_ratio=settings.conflict_target,
    )


def fastest_per_s(settings: Settings) -> float:
    """The highest rate that the settings allow, and so the fastest that a line can move."""
    return settings.admission_rate_per_s if settings.admission == "fixed" else settings.admission_ceiling_per_s
