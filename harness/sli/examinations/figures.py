"""Makes the figures of the examinations."""

from __future__ import annotations

from harness.record.verdict import Figure


def figure(name: str, title: str, value: float | None, unit: str, samples: int, note: str = "") -> Figure:
    """A figure that is counted or read, not estimated: it has no interval."""
    number = None if value is None else float(value)
    return Figure(name=name, title=title, value=number, unit=unit, samples=samples, note=note)
