"""Accessible seats are for a declared need, and companion seats go with their wheelchair places."""

from __future__ import annotations

import pytest

from target.http.tickets import Access
from target.seats.routes import withheld

PLACES = {"A-1": "A-1", "A-2": "A-1", "A-3": "A-3", "A-4": "A-3"}


@pytest.mark.parametrize(
    ("seats", "access", "kept"),
    [
        (("A-1", "A-2"), Access.NONE, ("A-1", "A-2")),
        (("A-9", "A-2"), Access.NONE, ("A-2",)),
        (("A-8", "A-9"), Access.NONE, ()),
        (("A-1", "A-2"), Access.DECLARED, ()),
        (("A-2", "A-1", "A-9"), Access.DECLARED, ()),
        (("A-1",), Access.DECLARED, ()),
        (("A-2",), Access.DECLARED, ("A-2",)),
        (("A-1", "A-4"), Access.DECLARED, ("A-4",)),
        (("A-2",), Access.OPERATOR, ()),
    ],
)
def test_what_each_bearer_cannot_be_granted(seats: tuple[str, ...], access: Access, kept: tuple[str, ...]) -> None:
    assert withheld(PLACES, seats, access) == kept
    assert withheld({}, seats, access) == ()
