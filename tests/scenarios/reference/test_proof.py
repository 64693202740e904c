"""The proof of work that the adapter finds, against the definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.reference.proof import solve


@given(challenge=st.text(alphabet=st.characters(exclude_characters=":", codec="utf-8")), fan=st.text())
def test_the_hash_begins_with_so_many_zero_bits(challenge: str, fan: str) -> None:
    given_back, nonce = solve(challenge, fan, 6).rsplit(":", 1)
    assert given_back == challenge
    assert hashlib.sha256(f"{challenge}|{fan}|{nonce}".encode()).digest()[0] < 0b100


@pytest.mark.parametrize("bits", [1, 8, 13])
def test_it_is_the_first_nonce_that_will_do(bits: int) -> None:
    nonce = int(solve("c", "a", bits).rpartition(":")[2])
    good = [
        number
        for number in range(nonce + 1)
        if int.from_bytes(hashlib.sha256(f"c|a|{number}".encode()).digest()) < 1 << (256 - bits)
    ]
    assert good == [nonce]
