"""How webhooks are signed: HMAC-SHA256 over `<unix s>.<body>`, in the header `Webhook-Signature: t=<unix s>,v1=<hex>`.

The provider signs, its customer verifies; they share this format and a secret, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "webhook-signature"
TOLERANCE_S: Final = 300.0  # for the difference of the two clocks and the time under way


class SignatureError(Exception):
    """The message is not from the provider, or it was signed too long ago. Its text is safe to show."""


def sign(secret: str, body: bytes, *, now_s: float) -> str:
    """The header's value for `body`, sent now."""
    stamp = str(int(now_s))
    return f"t={stamp},v1={_digest(secret, stamp, body)}"


def verify(secret: str, header: str, body: bytes, *, now_s: float) -> None:
    """Raises `SignatureError` unless `body` was signed with the secret within the tolerance; "" never matches."""
    stamp, given = _parts(header)
    if not secret or not hmac.compare_digest(_digest(secret, stamp, body).encode(), given.encode()):
        raise SignatureError("the signature does not fit")
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        raise SignatureError(f"signed more than {TOLERANCE_S:.0f} s ago, or ahead")


def _parts(header: str) -> tuple[str, str]:
    fields = dict(field.partition("=")[::2] for field in header.split(","))
    stamp, given = fields.get("t", ""), fields.get("v1", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and given):
        raise SignatureError(f"a header {HEADER}: t=<unix seconds>,v1=<hex> is needed")
    return stamp, given


def _digest(secret: str, stamp: str, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
