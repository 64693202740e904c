"""The opening handshake of a WebSocket as bytes (RFC 6455 §4.1). Pure, no sockets."""

from __future__ import annotations

import base64
import hashlib
import os
from typing import Final
from urllib.parse import urlsplit

from harness.swarm.client.message import Head, MalformedResponse

SWITCHED: Final = 101
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def new_key() -> bytes:
    """A nonce for one handshake."""
    return base64.b64encode(os.urandom(16))


def request(url: str, key: bytes, headers: bytes = b"") -> bytes:
    """What asks the server of a ws or wss URL to switch. `headers`: complete lines, each ended by CRLF."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    scheme = "https" if parts.scheme == "wss" else "http"
    lines = (
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {scheme}://{parts.netloc}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    )
    return b"%b%b\r\n%b\r\n" % (lines.encode(), key, headers)


def check(head: Head, key: bytes) -> None:
    """Raises `MalformedResponse` when this answer, a 101, does not belong to the request that had that key."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    if (
        (head.get(b"upgrade") or b"").lower() != b"websocket"
        or b"upgrade" not in (head.get(b"connection") or b"").lower()
        or head.get(b"sec-websocket-accept") != base64.b64encode(digest)
    ):
        raise MalformedResponse("no answer to this handshake")
