"""The draw of the pre-queue: a fan's place is a pure function of a secret seed and the fan, so no loss of data can move
it. The seed's hash is published before the opening and the seed after it; anyone can then recompute the whole line:

    commitment == sha256(seed.encode()).hexdigest()
    entry = sha256(fan.encode()).hexdigest()
    number = int(sha256(f"{seed}:{entry}".encode()).hexdigest()[:13], 16)
    line = sorted(entries, key=number)

An `entry` is a hash of the fan's name, because anybody who knows the name itself could ask for the fan's place.
"""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

import msgspec

NUMBER_BITS: Final = 52
"""Scores stay whole numbers in Redis's doubles. Two of a million fans share a number in one draw of 9,000."""
_HEX_DIGITS: Final = NUMBER_BITS // 4


class Draw(msgspec.Struct, frozen=True):
    """One event's draw. `seed`: hex, secret until the opening. `opens_at_us`: unix µs."""

    seed: str
    opens_at_us: int

    @property
    def commitment(self) -> str:
        """The hex sha256 of the seed, which is published before the opening."""
        return _hash(self.seed)

    def score(self, fan: str) -> int:
        """The fan's score in the queue: lower than every join time from the opening on."""
        return self.opens_at_us - (1 << NUMBER_BITS) + number_of(self.seed, entry_of(fan))

    def number(self, score: float) -> int:
        """The drawn number behind a score."""
        return int(score) - self.opens_at_us + (1 << NUMBER_BITS)


def draw_of(secret: str, event: str, opens_at_us: int) -> Draw:
    """The draw of `event`: the same in every process, and unknown without the secret."""
    seed = hmac.new(secret.encode(), f"draw:{event}:{opens_at_us}".encode(), sha256).hexdigest()
    return Draw(seed, opens_at_us)


def entry_of(fan: str) -> str:
    """The fan's name as the draw publishes it."""
    return _hash(fan)


def number_of(seed: str, entry: str) -> int:
    """The number that `entry` draws; the smallest number is first."""
    return int(_hash(f"{seed}:{entry}")[:_HEX_DIGITS], 16)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
