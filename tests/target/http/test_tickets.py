"""Signed tokens: what is signed comes back, anything else is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.http.tickets import PASS_VALID_S, HoldToken, Pass, Signer, Ticket, TokenError

SIGNER = Signer("secret", "e1")
NOW_US = time.time_ns() // 1000
TICKET = SIGNER.ticket("fan", "me", NOW_US)


@given(fan=st.text(), identity=st.text())
def test_a_ticket_comes_back_as_it_was_signed(fan: str, identity: str) -> None:
    ticket = SIGNER.read(Ticket, SIGNER.ticket(fan, identity, NOW_US))
    assert (ticket.fan, ticket.identity, ticket.joined_us) == (fan, identity, NOW_US)


@given(place=st.integers(0, len(TICKET) - 2), letter=st.sampled_from("AZaz09-_"))
def test_no_letter_of_a_token_can_be_changed(place: int, letter: str) -> None:
    forged = TICKET[:place] + letter + TICKET[place + 1 :]
    if forged != TICKET:
        with pytest.raises(TokenError):
            SIGNER.read(Ticket, forged)


@given(st.text())
def test_noise_is_refused(noise: str) -> None:
    with pytest.raises(TokenError):
        SIGNER.read(Ticket, noise)


def test_one_kind_never_passes_for_another() -> None:
    given_pass, _ = SIGNER.admit("fan", "me", admission_no=1, limit=4, entered_s=time.time())
    with pytest.raises(TokenError, match="another kind"):
        SIGNER.read(Ticket, given_pass)
    with pytest.raises(TokenError, match="another kind"):
        SIGNER.read(Pass, TICKET)


def test_tokens_are_bound_to_their_event_and_secret() -> None:
    with pytest.raises(TokenError, match="another event"):
        Signer("secret", "e2").read(Ticket, TICKET)
    with pytest.raises(TokenError, match="signature"):
        Signer("other", "e1").read(Ticket, TICKET)


def test_an_expired_pass_is_refused() -> None:
    old, expires_s = SIGNER.admit("fan", "me", admission_no=1, limit=4, entered_s=time.time() - PASS_VALID_S - 1)
    assert expires_s < time.time()
    with pytest.raises(TokenError, match="expired"):
        SIGNER.read(Pass, old)


def test_an_expired_hold_can_still_be_read_when_asked_for() -> None:
    hold_id = SIGNER.hold_id("fan", "me", ("101-A-1",), time.time() - 1)
    with pytest.raises(TokenError, match="expired"):
        SIGNER.read(HoldToken, hold_id)
    assert SIGNER.read(HoldToken, hold_id, expired_too=True).seats == ("101-A-1",)
    assert hold_id != SIGNER.hold_id("fan", "me", ("101-A-1",), time.time() - 1)
