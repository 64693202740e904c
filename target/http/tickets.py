"""Signed tokens that fans carry: challenges, queue tickets, passes, holds.

They hold all their data, so they stay valid when Redis loses its data.

A token is base64url(content + MAC), in its one canonical spelling. The content names its kind and event, so none ever
passes for another. Single use is not enforced here but at admission, in Redis.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

TICKET_VALID_S: Final = 6 * 3600.0
PASS_VALID_S: Final = 3600.0
MAC_BYTES: Final = 16
DEVICE_DIGEST_BYTES: Final = 12


class TokenError(Exception):
    """The token is not ours, is of another kind or event, or has expired; the text says which."""


class Access(StrEnum):
    """Which accessible seats the bearer can have: those for a need that was declared; an operator's pass all, alone."""

    NONE = ""
    DECLARED = "declared"
    OPERATOR = "operator"


class Ticket(msgspec.Struct, frozen=True, array_like=True, tag="ticket"):
    """A place in the queue. `joined_us`: the join time that orders the queue, unix µs.

    `device`: digest of the only device that may use it; "": any device may. `code`: digest of the access code that it
    was given for; "": none was needed. `access`: whether the fan declared the need of an accessible seat.
    """

    event: str
    fan: str
    identity: str
    joined_us: int
    expires_s: float
    device: str = ""
    code: str = ""
    access: Access = Access.NONE


class Pass(msgspec.Struct, frozen=True, array_like=True, tag="pass"):
    """The right to hold and buy seats. `limit`: seats per identity, 0 for none. `device`, `access`: as its ticket's."""

    event: str
    fan: str
    identity: str
    admission_no: int
    limit: int
    expires_s: float
    device: str = ""
    access: Access = Access.NONE


class HoldToken(msgspec.Struct, frozen=True, array_like=True, tag="hold"):
    """A hold, readable while Redis is away. `expires_s`: unix s; Redis decides when it can be asked."""

    event: str
    fan: str
    identity: str
    seats: tuple[str, ...]
    expires_s: float
    nonce: int


class ChallengeToken(msgspec.Struct, frozen=True, array_like=True, tag="challenge"):
    """A proof of work that is asked for: `bits` leading zero bits."""

    event: str
    bits: int
    expires_s: float


Content = Ticket | Pass | HoldToken | ChallengeToken
Token = TypeVar("Token", Ticket, Pass, HoldToken, ChallengeToken)
Bound = TypeVar("Bound", Ticket, Pass)


def device_digest(fingerprint: str) -> str:
    """The digest of a device's fingerprint, as tickets and Redis keep it; "" stays "" (no device was named)."""
    if not fingerprint:
        return ""
    digest = hashlib.blake2b(fingerprint.encode(), digest_size=DEVICE_DIGEST_BYTES).digest()
    return base64.urlsafe_b64encode(digest).decode()


_KINDS: Final = (Ticket, Pass, HoldToken, ChallengeToken)


class Signer:
    """Signs and reads the tokens of one event."""

    def __init__(self, secret: str, event: str) -> None:
        self._key = secret.encode()
        self._event = event
        self._encode = msgspec.msgpack.Encoder().encode
        self._decoders: dict[type, Any] = {kind: msgspec.msgpack.Decoder(kind) for kind in _KINDS}

    def ticket(
        self,
        fan: str,
        identity: str,
        joined_us: int,
        *,
        device: str = "",
        code: str = "",
        access: Access = Access.NONE,
        opens_at_s: float = 0.0,
    ) -> str:
        """A queue ticket. The same place on the same device gives the same ticket. `device`, `code`: digests.

        It is valid from the join, or from the opening (unix s) when that is later.
        """
        expires_s = max(joined_us / 1e6, opens_at_s) + TICKET_VALID_S
        return self.sign(Ticket(self._event, fan, identity, joined_us, expires_s, device, code, access))

    def challenge(self, bits: int, expires_s: float) -> str:
        """A challenge with a proof of work. The same challenge gives the same token until it expires."""
        return self.sign(ChallengeToken(self._event, bits, expires_s))

    def admit(
        self,
        fan: str,
        identity: str,
        *,
        admission_no: int,
        limit: int,
        entered_s: float,
        device: str = "",
        access: Access = Access.NONE,
    ) -> tuple[str, float]:
        """A pass, and when it expires (unix s). The same admission gives the same pass."""
        expires_s = entered_s + PASS_VALID_S
        return self.sign(Pass(self._event, fan, identity, admission_no, limit, expires_s, device, access)), expires_s

    def hold_id(self, fan: str, identity: str, seats: tuple[str, ...], expires_s: float) -> str:
        """A new hold's id."""
        return self.sign(HoldToken(self._event, fan, identity, seats, expires_s, secrets.randbits(48)))

    def sign(self, content: Content) -> str:
        """The token of this content."""
        body = self._encode(content)
        return _spell(body + self._mac(body))

    def read(self, kind: type[Token], token: str, *, expired_too: bool = False, shown_s: float | None = None) -> Token:
        """The content of a token of this kind, shown at `shown_s` (unix s; null: now). Raises `TokenError`."""
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise TokenError("the token is not one of ours") from error
        if _spell(raw) != token:
            raise TokenError("the token is not one of ours")
        body, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if not self._is_genuine(body, mac):
            raise TokenError("the token's signature is wrong")
        try:
            content: Token = self._decoders[kind].decode(body)
        except msgspec.MsgspecError as error:
            raise TokenError("the token is of another kind") from error
        if not self._is_here(content.event):
            raise TokenError("the token is for another event")
        if content.expires_s < (time.time() if shown_s is None else shown_s) and not expired_too:
            raise TokenError("the token has expired")
        return content

    def read_from(self, device: str, kind: type[Bound], token: str) -> Bound:
        """The content of a ticket or pass that is presented from `device`. Raises `TokenError`, also for another's."""
        content = self.read(kind, token)
        if content.device and not hmac.compare_digest(content.device.encode(), device.encode()):
            raise TokenError(f"the {kind.__name__.lower()} was given to another device")
        return content

    def of_event(self, event: str) -> Signer:
        """The same for another event."""
        return type(self)(self._key.decode(), event)

    def _is_here(self, event: str) -> bool:
        return event == self._event

    def _is_genuine(self, body: bytes, mac: bytes) -> bool:
        return hmac.compare_digest(mac, self._mac(body))

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:MAC_BYTES]


def _spell(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
