"""How a figure is written for people: grouped digits, three of them significant, always with its unit.

Rounding never contradicts a decision. A figure that is held against limits names them in `beside`; then it, and each
limit that names it in turn, is written with as many digits as it takes to see on which side of the other it lies. A
share is always held against nothing and everything, and no figure but zero is written as zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import pairwise
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
_CENTS: Final = "cents"
_SIGNIFICANT: Final = 3
_THOUSAND: Final = Decimal(1000)
_CONTEXT: Final = Context(prec=1000, rounding=ROUND_HALF_EVEN)  # no float needs as many digits


def number(value: float, beside: Iterable[float | None] = ()) -> str:
    """Three significant digits below a thousand, whole and grouped above; more where `beside` asks for them.

    `value` is finite; what is not finite beside it is passed over.
    """
    return _written(_exact(value), _finite(beside))


def amount(value: float, unit: str, beside: Iterable[float | None] = ()) -> str:
    """A value with its unit, held against those `beside` it, in the same unit; ratios are written as percentages.

    Money is given in cents ("EUR cents", or "cents" where the currency is not known) and written to the cent.
    """
    if unit.endswith(_CENTS):
        return f"{value / 100:,.2f} {unit.removesuffix(_CENTS)}".rstrip()
    if unit == "ratio":
        limits = [_CONTEXT.scaleb(limit, 2) for limit in _finite((*beside, 0.0, 1.0))]
        return f"{_written(_CONTEXT.scaleb(_exact(value), 2), limits)} %"
    word = _WORDS.get(unit, unit)
    written = number(value, beside)
    return f"{written}{word}" if word.startswith("/") else f"{written} {word}".rstrip()


def amounts(unit: str, *values: float) -> tuple[str, ...]:
    """Figures in one unit that stand side by side, each held against all the others."""
    return tuple(amount(value, unit, (*values[:at], *values[at + 1 :])) for at, value in enumerate(values))


def points(score: float) -> str:
    """A score of 0 to 100, on the right side of every letter's limit."""
    return number(score, (0.0, 60.0, 70.0, 80.0, 90.0, 100.0))


def in_full(value: float, unit: str = "") -> str:
    """A limit as its file gives it: every digit, with its unit."""
    exact = _exact(value)
    digits = _stripped(f"{_CONTEXT.scaleb(exact, 2) if unit == 'ratio' else exact:,f}")
    word = _WORDS.get(unit, unit)
    return f"{digits}{word}" if word.startswith("/") else f"{digits} {word}".rstrip()


def _finite(values: Iterable[float | None]) -> list[Decimal]:
    return [_exact(value) for value in values if value is not None and math.isfinite(value)]


def _exact(value: float) -> Decimal:
    """The shortest decimal that is this float and no other, so that equal floats are written alike."""
    return Decimal(repr(float(value) + 0.0))  # without the sign of a negative zero


def _written(value: Decimal, beside: list[Decimal]) -> str:
    if value in beside:  # at the limit: as the limit itself is given
        return _stripped(f"{value:,f}")
    decimals = max(_usual(value), _telling({value, *beside}))
    return _stripped(f"{_rounded(value, decimals):,f}")


def _usual(value: Decimal) -> int:
    """Decimals that leave three significant digits, and more where a figure below a thousand would become one."""
    if value == value.to_integral_value() or abs(value) >= _THOUSAND:
        return 0
    decimals = max(0, _SIGNIFICANT - 1 - value.adjusted())
    while abs(_rounded(value, decimals)) >= _THOUSAND:
        decimals += 1
    return decimals


def _telling(values: set[Decimal]) -> int:
    """The fewest decimals with which all of these values are still written in their order."""
    decimals = 0
    for lower, higher in pairwise(sorted(values)):
        while not _rounded(lower, decimals) < _rounded(higher, decimals):
            decimals += 1
    return decimals


def _rounded(value: Decimal, decimals: int) -> Decimal:
    return _CONTEXT.quantize(value, Decimal(1).scaleb(-decimals))


def _stripped(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
