"""Figures for people: grouped, with their unit, never in powers of ten."""

import pytest

from harness.amounts import amount


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (12_345.6, "ms", "12,346 ms"),
        (10_000, "ms", "10,000 ms"),
        (0.0512, "ratio", "5.12 %"),
        (26.14, "1/s", "26.1/s"),
        (957, "fans", "957 fans"),
        (3, "", "3"),
    ],
)
def test_an_amount_has_its_unit_and_grouped_digits(value: float, unit: str, written: str) -> None:
    assert amount(value, unit) == written
