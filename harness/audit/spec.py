"""What an invariant is. Each checker's module declares its own, beside the checker."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from harness.audit.history import Evidence
from harness.audit.tally import Tally

Checker = Callable[[Evidence], Tally]


class InvariantSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant.

    `check`: what is looked at from outside. `chance`: what puts the invariant to the test, counted in `Tally.chances`.
    `needs`: capabilities without which it cannot be seen. `by_absence`: it is broken by what did not happen before, so
    that a lost operation can look like a violation. `at_rest`: it is judged only where the platform came to rest.
    """

    name: str
    title: str
    check: str
    chance: str
    checker: Checker
    needs: tuple[str, ...] = ()
    by_absence: bool = False
    at_rest: bool = False
