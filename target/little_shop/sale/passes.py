"""Signed passes: how a third party's waiting room tells the shop whom it has let go on, by the customer's browser."""

from __future__ import annotations

import hmac
import time

PASS_VALID_S = 60.0


def sign(number: int, secret: str, valid_s: float = PASS_VALID_S) -> str:
    """A pass for the customer with this number."""
    told = f"{number}.{time.time() + valid_s:.0f}"
    return f"{told}.{_digest(told, secret)}"


def verify(signed: str, secret: str) -> int | None:
    """The number, or null when the pass is forged, broken or too old."""
    told, _, digest = signed.rpartition(".")
    if not hmac.compare_digest(digest, _digest(told, secret)):
        return None
    number, _, until_s = told.partition(".")
    return int(number) if float(until_s) >= time.time() else None


def _digest(told: str, secret: str) -> str:
    return hmac.new(secret.encode(), told.encode(), "sha256").hexdigest()
