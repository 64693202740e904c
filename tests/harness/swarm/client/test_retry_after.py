"""Both forms of the field, and everything that is neither."""

from __future__ import annotations

import pytest

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
    assert seconds_until(field, NOON_WALL_S) == wait_s
