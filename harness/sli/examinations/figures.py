"""Makes the figures of the examinations."""

from __future__ import annotations

from harness.audit.history import Evidence
from harness.record.verdict import Figure


def figure(name: str, title: str, value: float | None, unit: str, samples: int, note: str = "") -> Figure:
    """A figure that is counted or read, not estimated: it has no interval."""
    number = None if value is None else float(value)
    return Figure(name=name, title=title, value=number, unit=unit, samples=samples, note=note)


def cents(evidence: Evidence, name: str, title: str, value: float | None, samples: int, note: str = "") -> Figure:
    """An amount of money, in cents of the currency that the sale declares."""
    currency = evidence.rules.currency if evidence.rules else ""
    return figure(name, title, value, f"{currency} cents".lstrip(), samples, note)
