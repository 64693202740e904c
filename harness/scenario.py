"""A scenario file, parsed once at the edge into a frozen `Scenario`.

What is wrong in a file is said in one line with file, line, key, what was expected and how to mend it; nothing starts.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the sections: frozen, and an unknown key is refused."""


class OnSale(_Section, frozen=True):
    """How the reference booking system is set up for this on-sale. Ignored for a platform of the user's own."""

    event: str = "playoff-g1"
    venue: str = "arena"
    hold_ttl_s: float = 8.0
    admission_rate_per_s: float = 30.0
    admission_burst: int = 30
    purchase_limit: int = 4
    payment_time_ms: int = 60


class Journey(_Section, frozen=True):
    """How fans behave. Ratios are of fans; every choice is drawn from the seed.

    `think_s` is the median of a log-normal pause before each deliberate step; `patience_s` is how long a fan waits in
    the queue (and retries later steps) before giving up.
    """

    think_s: float = 0.3
    think_sigma: float = 0.5
    patience_s: float = 60.0
    party_sizes: dict[int, float] = msgspec.field(default_factory=lambda: {1: 0.2, 2: 0.5, 3: 0.1, 4: 0.2})  # weights
    abandon_hold_ratio: float = 0.05  # hold seats, never pay
    release_hold_ratio: float = 0.03  # hold, change their mind, release
    declined_card_ratio: float = 0.03  # pay with a card that the provider declines
    hot_section_ratio: float = 0.6  # aim for the best sections first: contention


class Load(_Section, frozen=True):
    """Who comes, and how they are released."""

    fans: int = 1000
    spectators: int = 100
    bots: int = 0
    workers: int | None = None  # null: one per spare core
    connect: Literal["warm", "cold"] = "warm"
    arm_timeout_s: float = 20.0
    release_window_s: float = 0.5  # all first sends within this after T0
    journey: Journey = Journey()


class PlannedFault(_Section, frozen=True):
    """One experiment on the release clock. `length_s` null: the experiment's own length."""

    experiment: str
    start_s: float
    length_s: float | None = None


class Objective(_Section, frozen=True):
    """100 points at `target`, 0 at `worst`, a straight line between. `required`: not observable caps the grade."""

    target: float
    worst: float
    required: bool = True


class GeneratorLimits(_Section, frozen=True):
    """Beyond these the load generator itself is in doubt: first figure DEGRADED, second INVALID."""

    loop_lag_ms_p99: tuple[float, float] = (100.0, 1000.0)
    cpu_percent: tuple[float, float] = (95.0, 101.0)
    release_skew_ms_max: tuple[float, float] = (500.0, 2000.0)
    unreleased_ratio: tuple[float, float] = (0.001, 0.02)
    lost_samples_ratio: tuple[float, float] = (0.0, 0.01)
    fds_ratio: tuple[float, float] = (0.8, 0.95)


class Scenario(_Section, frozen=True, kw_only=True):
    """One rehearsal, whole. Times in s on the release clock (T0 = 0)."""

    name: str
    description: str
    seed: int = 1
    duration_s: float
    settle_timeout_s: float = 30.0
    minimum_grade: Literal["A", "B", "C", "D", "F"] = "C"
    on_sale: OnSale = OnSale()
    load: Load = Load()
    faults: tuple[PlannedFault, ...] = ()
    objectives: dict[str, Objective] = {}
    generator: GeneratorLimits = GeneratorLimits()
    invariants: tuple[str, ...] = ()  # required ones; empty: all that the platform can show
