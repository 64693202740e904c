from __future__ import annotations

import pytest

from reports import text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (210.0, "210"),
        (0.08, "0.08"),
        (8.104, "8.1"),
        (28.44, "28.4"),
        (999.6, "999.6"),
        (1234567, "1,234,567"),
        (-12.5, "−12.5"),
        (0.00004, "0.00004"),
        (-0.0, "0"),
    ],
)
def test_numbers_have_three_significant_digits_or_are_grouped(value: float | None, written: str) -> None:
    assert text.number(value) == written


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (0.987, "ratio", "98.7 %"),
        (12.0, "1/s", "12/s"),
        (2034.2, "ms", "2,034 ms"),
        (7.0, "", "7"),
        (None, "ms", "–"),
    ],
)
def test_quantities_carry_their_unit(value: float | None, unit: str, written: str) -> None:
    assert text.quantity(value, unit).replace("\u00a0", " ") == written


@pytest.mark.parametrize(
    ("t_s", "written"),
    [(12.41, "T+12.4 s"), (-0.96, "T−1.0 s"), (-0.01, "T+0.0 s"), (None, "–"), (3600, "T+3,600.0 s")],
)
def test_moments_are_on_the_release_clock(t_s: float | None, written: str) -> None:
    assert text.at(t_s).replace("\u00a0", " ") == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [
        (1, 0, "–"),
        (0, 9, "0 %"),
        (9, 9, "100 %"),
        (9999, 10000, "99.99 %"),
        (1, 10000, "0.01 %"),
        (1, 3, "33.3 %"),
    ],
)
def test_shares_never_round_to_all_or_nothing(part: int, whole: int, written: str) -> None:
    assert text.share(part, whole).replace("\u00a0", " ") == written


def test_spans_choose_the_unit_that_reads_best() -> None:
    written = [text.seconds(0.462), text.seconds(12.34), text.milliseconds(455.2), text.milliseconds(8003.1)]
    assert [word.replace("\u00a0", " ") for word in written] == ["462 ms", "12.3 s", "455 ms", "8 s"]
