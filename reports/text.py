"""Writes numbers and times for a report: grouped digits, always a unit, and a sign for absent data."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import date, datetime
from typing import Final

from harness import amounts

ABSENT: Final = "–"
"""What a cell says when nothing was recorded; never zero."""


def number(value: float | None, beside: Iterable[float | None] = ()) -> str:
    """Three significant digits below a thousand, whole and grouped above; more where `beside` asks for them."""
    return ABSENT if value is None or not math.isfinite(value) else _minus(amounts.number(value, beside))


def count(value: int | None) -> str:
    """Grouped digits."""
    return ABSENT if value is None else _minus(f"{value:,}")


def counted(value: int, one: str, many: str = "") -> str:
    """`1 hold`, `12,345 holds`."""
    return f"{count(value)}\u00a0{one if value == 1 else many or one + 's'}"


def quantity(value: float | None, unit: str, beside: Iterable[float | None] = ()) -> str:
    """A value with its unit, rounded so that it stays on its side of the limits `beside` it; ratios in percent."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return _minus(amounts.amount(value, unit, beside)).replace(" ", "\u00a0")


def quantities(unit: str, *values: float | None) -> tuple[str, ...]:
    """Values in one unit that stand side by side, rounded so that their order stays visible."""
    return tuple(quantity(value, unit, (*values[:at], *values[at + 1 :])) for at, value in enumerate(values))


def points(score: float | None) -> str:
    """A score of 0 to 100, rounded so that it stays on its side of every letter's limit."""
    return ABSENT if score is None else amounts.points(score)


def at(t_s: float | None) -> str:
    """A moment on the release clock: `T+12.4 s`."""
    if t_s is None:
        return ABSENT
    tenth = round(t_s, 1)
    return f"T{'+' if tenth >= 0 else '−'}{abs(tenth):,.1f}\u00a0s"


def exactly_at(t_s: float | None) -> str:
    """A moment of a history, to the millisecond: `T+12.413 s`; at rest, without a moment."""
    if t_s is None:
        return "at rest"
    return f"T{'+' if t_s >= 0 else '−'}{abs(t_s):,.3f}\u00a0s"


def day(t0: str | None) -> date:
    """The day of a wall-clock time of the record; the first of all days where there is none."""
    try:
        return datetime.fromisoformat(t0 or "").date()
    except ValueError:
        return date.min


def milliseconds(value: float | None) -> str:
    """A span given in ms, in the unit that reads best."""
    if value is None:
        return ABSENT
    return quantity(value, "ms") if abs(value) < 1000 else quantity(value / 1000, "s")


def seconds(value: float | None) -> str:
    """A span given in s, in the unit that reads best."""
    if value is None:
        return ABSENT
    return quantity(value * 1000, "ms") if abs(value) < 1 else quantity(value, "s")


def share(part: float, whole: float) -> str:
    """`part` of `whole` as a percentage; only the whole is written as 100 %, and only nothing as 0 %."""
    return ABSENT if whole <= 0 else quantity(part / whole, "ratio")


def humanise(name: str) -> str:
    """`seat_map` → `seat map`."""
    return name.replace("_", " ").replace("-", " ").strip()


def sentence(name: str) -> str:
    """`seat_map` → `Seat map`."""
    return capitalised(humanise(name))


def capitalised(words: str) -> str:
    """A note with its first letter capitalised."""
    return words[:1].upper() + words[1:]


def _minus(text: str) -> str:
    return text.replace("-", "−")
