"""Figures for people: grouped, with their unit, never in powers of ten, never on the wrong side of a limit."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.amounts import amount, amounts, in_full, number

FIGURES = st.one_of(
    st.floats(-1e7, 1e7),
    st.floats(0.0, 1.0),
    st.integers(-2000, 2000).map(float),
    st.floats(999.0, 1001.0),
    st.floats(-1e-6, 1e-6, allow_subnormal=False),
)


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (12_345.6, "ms", "12,346 ms"),
        (10_000, "ms", "10,000 ms"),
        (0.0512, "ratio", "5.12 %"),
        (26.14, "1/s", "26.1/s"),
        (957, "fans", "957 fans"),
        (3, "", "3"),
        (-0.0, "", "0"),
        (-0.00001, "", "-0.00001"),
        (999.7, "", "999.7"),
        (999.97, "ms", "999.97 ms"),
        (199_990 / 200_000, "ratio", "99.995 %"),
        (1 / 200_000, "ratio", "0.0005 %"),
        (1.0, "ratio", "100 %"),
        (16_649_505, "USD cents", "166,495.05 USD"),
        (-1_234_567, "cents", "-12,345.67"),
    ],
)
def test_an_amount_has_its_unit_and_grouped_digits(value: float, unit: str, written: str) -> None:
    assert amount(value, unit) == written


@pytest.mark.parametrize(
    ("value", "limit", "unit", "shown"),
    [
        (1000.4, 1000, "ms", ("1,000.4 ms", "1,000 ms")),
        (89.96, 90, "", ("89.96", "90")),
        (89.86, 90, "", ("89.9", "90")),
        (0.8, 0.8, "ratio", ("80 %", "80 %")),
        (0.79999, 0.8, "ratio", ("79.999 %", "80 %")),
        (1000.4, 1000.2, "ms", ("1,000.4 ms", "1,000.2 ms")),
        (12_345.6, 500, "ms", ("12,346 ms", "500 ms")),
    ],
)
def test_a_figure_and_its_limit_show_who_is_above(
    value: float, limit: float, unit: str, shown: tuple[str, str]
) -> None:
    assert (amount(value, unit, [limit]), amount(limit, unit, [value])) == shown


@given(group=st.lists(FIGURES, min_size=2, max_size=4), unit=st.sampled_from(["", "ms", "ratio", "1/s"]))
@example(group=[0.46, 0.54], unit="")
@example(group=[999.99996, 1000.2], unit="ms")
@example(group=[-1e-320, 0.0], unit="")
def test_what_is_shown_compares_as_the_figures_do(group: list[float], unit: str) -> None:
    """Every figure beside all the others: shown strings, read back, stand in the order of the figures."""
    shown = [as_figure(written) for written in amounts(unit, *group)]
    for one, first in zip(group, shown, strict=True):
        for other, second in zip(group, shown, strict=True):
            assert (one < other, one == other) == (first < second, first == second)


@given(value=FIGURES, limit=FIGURES)
def test_a_limit_written_in_full_compares_as_well(value: float, limit: float) -> None:
    shown, full = as_figure(number(value, [limit])), as_figure(in_full(limit))
    assert (value < limit, value == limit) == (shown < full, shown == full)


@given(share=st.floats(0.0, 1.0, allow_subnormal=False))
def test_only_everything_is_100_percent_and_only_nothing_is_0(share: float) -> None:
    shown = amount(share, "ratio")
    assert (shown == "100 %") == (share == 1.0)
    assert (shown == "0 %") == (share == 0.0)


@given(value=FIGURES)
def test_without_a_limit_a_figure_is_shown_within_half_a_percent(value: float) -> None:
    assert float(as_figure(number(value))) == pytest.approx(value, rel=0.005)


def test_limits_are_written_in_full() -> None:
    assert in_full(0.995, "ratio") == "99.5 %"
    assert in_full(2.5, "s") == "2.5 s"
    assert in_full(12_345.678, "ms") == "12,345.678 ms"


def as_figure(shown: str) -> Decimal:
    return Decimal(shown.split("/", maxsplit=1)[0].split(" ", maxsplit=1)[0].replace(",", ""))
