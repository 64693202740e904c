"""How a figure is written for people: grouped digits, three of them significant, always with its unit."""

from __future__ import annotations

import math
from typing import Final

_WORDS: Final = {
    "ratio": "%",
    "percent": "%",
    "seconds": "s",
    "milliseconds": "ms",
    "per_s": "/s",
    "1/s": "/s",
    "count": "",
}


def number(value: float) -> str:
    """Three significant digits below a thousand, whole and grouped above. `value` is finite."""
    if value == int(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    written = f"{value:.{min(digits, 4)}f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def amount(value: float, unit: str) -> str:
    """A value with its unit; ratios are written as percentages."""
    if unit == "ratio":
        return f"{number(round(value * 100, 3))} %"
    word = _WORDS.get(unit, unit)
    return f"{number(value)}{word}" if word.startswith("/") else f"{number(value)} {word}".rstrip()
