"""Carries out a paired run: the control first, then the treatment, each on a stack of its own.

The control goes first for two reasons: nothing that the faults leave behind on this machine can reach it, and a
platform that cannot stand the crowd at all is found out before anything is broken. The disadvantage: caches that the
first run warms up are warm for the treatment.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from harness.errors import EnvironmentProblem, GatecrashError, InputError, Interrupted
from harness.record.paths import RunPaths
from harness.scenario import Scenario

OPTION = "--paired"


class Half(StrEnum):
    """Which of the two, as the user sees it."""

    CONTROL = "control (1 of 2)"
    TREATMENT = "treatment (2 of 2)"


def require_pairable(scenario: Scenario, remote_workers: int = 0) -> None:
    """Raises InputError when there is nothing to compare, or the second half would find no workers."""
    if not scenario.faults:
        raise InputError(
            "there is no fault to leave out of the control",
            key=OPTION,
            hint="leave out --no-chaos, or give a scenario with faults",
        )
    if remote_workers:
        raise InputError(
            "workers of other machines leave after one run, and this is two",
            key=OPTION,
            hint="leave out --remote-workers",
        )


def run_both(paths: RunPaths, carry_out: Callable[[RunPaths, Half], None], say: Callable[[str], None]) -> None:
    """Carry out the control into its directory below `paths`, then the treatment into `paths`.

    A control that fails is reported, and the treatment runs all the same. Raised are errors that would fail the
    treatment as well (bad input, a machine that lacks something), and the user's own stop.
    """
    paths.control.root.mkdir()
    try:
        carry_out(paths.control, Half.CONTROL)
    except (InputError, EnvironmentProblem, Interrupted):
        raise
    except GatecrashError as error:
        say(f"the control failed: {error}; the treatment runs, but there will be nothing to compare it with")
    carry_out(paths, Half.TREATMENT)
