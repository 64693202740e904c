"""The points of a sparkline in a box of 100 × 20."""

from __future__ import annotations

from collections.abc import Sequence


def spark(values: Sequence[float | None], top: float = 0.0) -> str:
    """Points for a polyline, from 0 at the foot to `top`, or to the highest value; "" for fewer than two values.

    Where a value is missing the line goes straight on to the next one.
    """
    known = [(at, value) for at, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return ""
    step = 100 / (len(values) - 1)
    scale = 18 / (top or max(value for _, value in known) or 1.0)
    return " ".join(f"{at * step:.1f},{19 - scale * value:.1f}" for at, value in known)
