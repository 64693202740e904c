"""How the master and its workers wrap what they say to each other, so that no stranger can say it.

A wrapped message has the worker's number, a count that only grows, and an HMAC-SHA256 over both and the content, with a
key that only the master and that worker have. The master draws one secret for a run; a worker's key is derived from it
and from the worker's number. So a worker cannot speak for another one either, and what was said once cannot be said
again. The content is not encrypted. Pure: nothing here knows sockets.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from typing import Final

_HEAD: Final = struct.Struct("!IQ")
_TAG_BYTES: Final = 32
_SECRET_BYTES: Final = 32
_TO_MASTER: Final = b"to master"
_TO_WORKER: Final = b"to worker"


class Envelope:
    """One end's wrapping and unwrapping of what it and the other end say. Both have the same `key`."""

    def __init__(self, key: bytes, worker: int, outbound: bytes, inbound: bytes) -> None:
        self._key = key
        self._worker = worker
        self._outbound = outbound
        self._inbound = inbound
        self._sent = 0
        self._received = 0

    def wrap(self, content: bytes) -> bytes:
        """The next message to the other end."""
        self._sent += 1
        head = _HEAD.pack(self._worker, self._sent)
        return head + self._tag(self._outbound, head, content) + content

    def unwrap(self, wrapped: bytes) -> bytes | None:
        """The content of a message from the other end; null: it is not from there, or it was here before."""
        head, rest = wrapped[: _HEAD.size], wrapped[_HEAD.size :]
        tag, content = rest[:_TAG_BYTES], rest[_TAG_BYTES:]
        if len(tag) < _TAG_BYTES or not hmac.compare_digest(tag, self._tag(self._inbound, head, content)):
            return None
        worker, number = _HEAD.unpack(head)
        if worker != self._worker or number <= self._received:
            return None
        self._received = number
        return content

    def _tag(self, direction: bytes, head: bytes, content: bytes) -> bytes:
        return hmac.digest(self._key, direction + head + content, "sha256")


def worker_end(key: bytes, worker: int) -> Envelope:
    """The worker's end of its channel."""
    return Envelope(key, worker, _TO_MASTER, _TO_WORKER)


class MasterEnd:
    """The master's end of all channels. `dropped`: messages that no worker of this run can have sent.

    A sender is the name under which Locust knows a worker. It is that worker's for good once the worker has spoken.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(_SECRET_BYTES)
        self._envelopes: dict[int, Envelope] = {}
        self._workers: dict[bytes, int] = {}
        self.dropped = 0

    def key_of(self, worker: int) -> bytes:
        """What that worker, and nobody else, must be given."""
        return hmac.digest(self._secret, b"worker %d" % worker, "sha256")

    def worker_of(self, sender: bytes) -> int | None:
        """The worker that speaks under that name; null: none does."""
        return self._workers.get(sender)

    def wrap(self, receiver: bytes, content: bytes) -> bytes:
        """The next message to the worker of that name. Raises KeyError when none has spoken under it."""
        return self._envelopes[self._workers[receiver]].wrap(content)

    def unwrap(self, frames: list[bytes]) -> bytes | None:
        """What a worker said: its name and the wrapped message. Null: somebody else said it, and it is counted."""
        content = self._unwrap(*frames) if len(frames) == 2 else None
        if content is None:
            self.dropped += 1
        return content

    def _unwrap(self, sender: bytes, wrapped: bytes) -> bytes | None:
        if len(wrapped) < _HEAD.size:
            return None
        worker, _ = _HEAD.unpack_from(wrapped)
        known = self._envelopes.get(worker)
        envelope = known or Envelope(self.key_of(worker), worker, _TO_WORKER, _TO_MASTER)
        content = envelope.unwrap(wrapped)
        if content is None:
            return None
        if known is None and sender not in self._workers:
            self._envelopes[worker], self._workers[sender] = envelope, worker
        return content if self._workers.get(sender) == worker else None
