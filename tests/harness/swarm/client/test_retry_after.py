"""Both forms of the field, and everything that is neither."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.client.types import seconds_until

NOON_WALL_S = 784_123_200.0  # Sun, 06 Nov 1994 12:00:00 GMT


@pytest.mark.parametrize(
    ("field", "wait_s"),
    [
        ("3", 3.0),
        ("0", 0.0),
        ("2.25", 2.25),
        ("Sun, 06 Nov 1994 12:00:07 GMT", 7.0),
        ("Sun, 06 Nov 1994 12:00:07 -0000", 7.0),
        ("Sun Nov  6 12:00:07 1994", 7.0),
        ("Sunday, 06-Nov-94 12:00:07 GMT", 7.0),
        ("Sun, 06 Nov 1994 14:00:07 +0200", 7.0),
        ("9" * 400, 1e8),
        ("1e400", None),
        ("nan", None),
        ("Sun, 06 Nov 1994 11:59:00 GMT", 0.0),
        ("", None),
        ("-3", None),
        ("soon", None),
        ("٣", None),
        ("Sun, 99 Nov 1994 12:00:07 GMT", None),
        ("Sun, 06 Nov 99999999 12:00:07 GMT", None),
    ],
)
def test_a_wait_is_read_from_either_form(field: str, wait_s: float | None) -> None:
    for zone in ("UTC", "America/New_York"):
        with living_in(zone):
            assert seconds_until(field, NOON_WALL_S) == wait_s


@given(st.text(max_size=40))
def test_anything_else_is_no_wait(field: str) -> None:
    wait_s = seconds_until(field, NOON_WALL_S)
    assert wait_s is None or wait_s >= 0.0


@contextmanager
def living_in(zone: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        try:
            yield
        finally:
            patched.undo()
            time.tzset()
