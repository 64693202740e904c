"""Joins an invariant of the registry with its checker. Each checker's module declares its own."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.audit.history import Evidence
from harness.audit.tally import Tally
from harness.registry.invariants import INVARIANTS, Invariant

Checker = Callable[[Evidence], Tally]


class InvariantSpec(Invariant, frozen=True, kw_only=True):
    """An invariant of the registry with the function that checks it."""

    checker: Checker


def specified(name: str, checker: Checker) -> InvariantSpec:
    """The registry's invariant of that name, checked by `checker`."""
    return InvariantSpec(**msgspec.structs.asdict(INVARIANTS[name]), checker=checker)
