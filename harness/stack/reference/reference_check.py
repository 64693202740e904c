"""What only the reference booking system can check, as its own process does: rules of an on-sale, names of metrics."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import cache
from typing import Final

from harness.errors import EnvironmentProblem
from harness.processes.managed import child_environment
from harness.scenario import OnSale
from harness.scenario.own_checks import Complaint
from harness.stack.reference.opening import target_settings

_WITHIN_S: Final = 60.0
_COMPLAINT: Final = re.compile(r"target: TARGET_([A-Z_]+)=(.*)")
_FREE_TEXT: Final = ("venue", "payment_switches")
"""Rules whose type says nothing of what they may be: only these are asked about."""


def require_known_rules(on_sale: OnSale, error: Complaint) -> None:
    """Raises InputError at the rule that the system refuses, EnvironmentProblem when it cannot be asked."""
    free_text = OnSale(**{rule: getattr(on_sale, rule) for rule in _FREE_TEXT})
    if free_text != OnSale() and (complaint := _complaint(free_text)):
        raise error(complaint[2], "on_sale", complaint[1].lower())


@cache
def _complaint(on_sale: OnSale) -> re.Match[str] | None:
    told = _asked("check", target_settings(on_sale, 0.0))
    if told.returncode == 0:
        return None
    last = (told.stderr.strip().splitlines() or ["it said nothing"])[-1]
    complaint = _COMPLAINT.fullmatch(last)
    if complaint is None:
        raise EnvironmentProblem(f"the reference system cannot be asked for its rules: {last}")
    return complaint


@cache
def reference_metrics() -> dict[str, frozenset[str]]:
    """Name of each metric that the reference system has → its labels. Raises EnvironmentProblem."""
    words = [line.split() for line in told_by_reference("metrics")]
    return {name: frozenset(labels) for name, *labels in words}


def told_by_reference(what: str) -> list[str]:
    """The lines that `python -m target WHAT` says. Raises EnvironmentProblem when it does not end well."""
    told = _asked(what, {})
    if told.returncode:
        raise EnvironmentProblem(f"the reference system does not tell its {what}", hint="is the package complete?")
    return told.stdout.splitlines()


def _asked(what: str, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What `python -m target WHAT` says. Raises EnvironmentProblem when it cannot be started, or says nothing."""
    command = [sys.executable, "-m", "target", what]
    try:
        return subprocess.run(
            command,
            env=child_environment(settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise EnvironmentProblem(f"the reference system cannot be asked: {problem}") from problem
