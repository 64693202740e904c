"""Solving the reference booking system's proof of work, as a fan's browser does."""

from __future__ import annotations

import hashlib
from itertools import count
from typing import Final

import gevent

_DIGEST_BITS: Final = 256
_GIVE_WAY: Final = 4096  # hashes at a stretch, some 3 ms


def solve(challenge: str, fan: str, bits: int) -> str:
    """The `Challenge` header: a nonce whose SHA-256 with challenge and fan begins with `bits` zero bits.

    Takes 2^bits hashes on average, at under a microsecond each; a long search lets other users have their turn.
    """
    begun = hashlib.sha256(f"{challenge}|{fan}|".encode())
    too_great = 1 << (_DIGEST_BITS - bits)
    for nonce in count():
        hashed = begun.copy()
        hashed.update(b"%d" % nonce)
        if int.from_bytes(hashed.digest()) < too_great:
            return f"{challenge}:{nonce}"
        if nonce % _GIVE_WAY == _GIVE_WAY - 1:
            gevent.sleep(0)
    raise AssertionError  # there are nonces for every challenge
