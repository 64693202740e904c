"""The order in which statuses merge."""

from __future__ import annotations

import pytest

from harness.audit.tally import merge
from harness.record.verdict import Status

HELD, VIOLATED, UNKNOWN, HIDDEN = Status.HELD, Status.VIOLATED, Status.UNKNOWN, Status.NOT_OBSERVABLE


@pytest.mark.parametrize(
    ("statuses", "merged"),
    [
        ((), UNKNOWN),
        ((HELD, HELD), HELD),
        ((HELD, HIDDEN), HIDDEN),
        ((HIDDEN, UNKNOWN, HELD), UNKNOWN),
        ((HELD, UNKNOWN, VIOLATED, HIDDEN), VIOLATED),
    ],
)
def test_the_worst_that_is_known_wins(statuses: tuple[Status, ...], merged: Status) -> None:
    assert merge(statuses) is merged
    assert merge(reversed(statuses)) is merged
