"""Limits how fast feed sockets open, and says when a refused client should come back. Pure.

When a node is lost, all its clients come at once. A token bucket lets some of them in at a steady rate and tells each
of the others a time of its own, at the same rate, so that clients which obey need only one more try.
"""

from __future__ import annotations

from typing import Final

HINT_MIN_S: Final = 0.5
HINT_MAX_S: Final = 30.0
FULL_HINT_S: Final = 5.0  # a full node: other nodes have room
BURST_S: Final = 1.0  # how many clients a quiet node lets in at once, in seconds of its rate


class OpenLimit:
    """At most `sockets_max` sockets, and `opens_per_s` new ones (after a burst of `BURST_S` of them)."""

    def __init__(self, *, sockets_max: int, opens_per_s: float) -> None:
        self._sockets_max = sockets_max
        self._opens_per_s = opens_per_s
        self._burst = max(1.0, opens_per_s * BURST_S)
        self._tokens = self._burst
        self._at_s = float("-inf")
        self._promised_until_s = float("-inf")

    def has_room(self, sockets: int) -> bool:
        """Whether one more socket may be open beside `sockets` others."""
        return sockets < self._sockets_max

    def take(self, now_s: float) -> float:
        """0 when the client may come in, else the seconds after which to try again; each client gets its own moment."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now_s - self._at_s) * self._opens_per_s)
        self._at_s = max(self._at_s, now_s)
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        first_s = now_s + HINT_MIN_S
        self._promised_until_s = max(first_s, self._promised_until_s + 1.0 / self._opens_per_s)
        if self._promised_until_s > now_s + HINT_MAX_S:
            self._promised_until_s = first_s  # no longer wait may be told: further clients share moments
        return self._promised_until_s - now_s
