"""The key of a run, which the operator carries to worker machines, and the connections that both ends prove it on.

Connections between machines are encrypted and authenticated by CurveZMQ (https://rfc.zeromq.org/spec/26). Both ends
derive two pairs of Curve25519 keys from the run's key: the master's and the workers'. So a worker that connects knows
that it speaks with a master that has the key, and the master lets nobody in who has not. Each connection has keys of
its own besides: who learns the run's key later cannot read what was recorded on the wire. Imports neither locust nor
gevent.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from typing import Final

import msgspec
import zmq
from zmq.utils import z85

from harness.errors import InputError
from harness.swarm.messaging import KEY_VARIABLE

ZAP_DOMAIN: Final = b"gatecrash"
_BYTES: Final = 32
_HINT: Final = "copy the line that the master shows, or draw one with `openssl rand -hex 32`"


class _Pair(msgspec.Struct, frozen=True):
    """A Curve25519 key pair in Z85, as ZeroMQ takes it."""

    public: bytes
    secret: bytes


class RunKey(msgspec.Struct, frozen=True):
    """A key of 256 bits. `text` is what people carry: hexadecimal digits, which no shell changes."""

    text: str

    @classmethod
    def draw(cls) -> RunKey:
        """A new one."""
        return cls(secrets.token_hex(_BYTES))

    @classmethod
    def parse(cls, text: str, key: str = "--key") -> RunKey:
        """The key that somebody typed. Raises InputError, which does not repeat it."""
        if not re.fullmatch(rf"[0-9a-fA-F]{{{2 * _BYTES}}}", text):
            raise InputError(f"is not a key of {2 * _BYTES} hexadecimal digits", key=key, hint=_HINT)
        return cls(text.lower())

    @property
    def worker_public(self) -> bytes:
        """With what a worker shows itself, 32 bytes."""
        return z85.decode(self._pair(b"worker").public)

    def serve(self, socket: zmq.Socket[bytes]) -> None:
        """Have the next endpoints of this socket take encrypted connections only, as the master's end of them."""
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._pair(b"master").secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)

    def call(self, socket: zmq.Socket[bytes]) -> None:
        """Have this socket connect as a worker, to nobody but a master that has the key."""
        own = self._pair(b"worker")
        socket.setsockopt(zmq.CURVE_SERVERKEY, self._pair(b"master").public)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, own.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, own.secret)

    def _pair(self, side: bytes) -> _Pair:
        secret = z85.encode(hmac.digest(bytes.fromhex(self.text), b"gatecrash " + side, "sha256"))
        return _Pair(zmq.curve_public(secret), secret)


def taken() -> RunKey | None:
    """The key that the environment names, taken out of it so that no child process inherits it. Raises InputError."""
    text = os.environ.pop(KEY_VARIABLE, "")
    return RunKey.parse(text, KEY_VARIABLE) if text else None


def endpoint(host: str, port: int) -> str:
    """An address as ZeroMQ writes it."""
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
