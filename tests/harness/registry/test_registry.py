"""Each name of the registry has its measure or its checker, in the registry's order."""

from __future__ import annotations

from harness import audit, sli
from harness.registry.indicators import INDICATORS
from harness.registry.invariants import INVARIANTS


def test_every_indicator_is_measured() -> None:
    assert list(sli.INDICATORS) == list(INDICATORS)


def test_every_invariant_is_checked() -> None:
    assert list(audit.INVARIANTS) == list(INVARIANTS)
