"""Locust's channel between the master and its workers, closed to strangers.

Whoever can reach the master's port can send to it, and Locust believes every message. Here is the one place at which
messages come in, on either side: what is not wrapped as `envelope` says is dropped before Locust or anything of ours
has read it. A worker gets its key over its stdin or, on another machine, in the answer to its join. Workers of this
machine connect over loopback; those of others to an endpoint of its own, which `guard` stands before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import gevent
import msgspec
import zmq.green as zmq
from locust.exception import RPCError
from locust.rpc import Message
from locust.rpc.zmqrpc import BaseSocket, Client, Server

from harness.swarm.messaging.envelope import Envelope, MasterEnd
from harness.swarm.messaging.guard import HANDSHAKE_WITHIN_MS, Guard
from harness.swarm.messaging.run_key import RunKey, endpoint

LOOPBACK: Final = "127.0.0.1"

MESSAGE_BYTES_MAX: Final = 1 << 26
"""Of one message; a peer that announces more is disconnected before memory is taken for it."""

_UNREADABLE: Final = (ValueError, TypeError, KeyError, RecursionError)


class Remote(msgspec.Struct, frozen=True):
    """Where workers of other machines connect, port 0 for any free one, and the key that they must prove."""

    host: str
    port: int
    key: RunKey


class MasterSocket(Server):
    """Locust's socket of a master, which hears nobody but the workers of this run.

    It listens at `port` of the loopback, and at `remote_port` for workers of other machines.
    """

    def __init__(self, end: MasterEnd, port: int = 0, remote: Remote | None = None) -> None:
        """Port 0 is any free one. Raises RPCError when it cannot listen."""
        BaseSocket.__init__(self, zmq.ROUTER, ipv4_only=True)  # type: ignore[no-untyped-call]
        self._end = end
        self._guard: Guard | None = None
        self.remote_port = 0
        self.socket.setsockopt(zmq.MAXMSGSIZE, MESSAGE_BYTES_MAX)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_WITHIN_MS)
        try:
            self.port = port or self.socket.bind_to_random_port(f"tcp://{LOOPBACK}")
            if port:
                self.socket.bind(endpoint(LOOPBACK, port))
            if remote is not None:
                self._guard = Guard(self.socket, remote.key)
                self.remote_port = self._guard.listen(remote.host, remote.port)
        except zmq.ZMQError as error:
            raise RPCError(f"Socket bind failure: {error}") from error

    @property
    def refused(self) -> int:
        """Connections from other machines that did not prove the run's key."""
        return self._guard.refused if self._guard else 0

    def close(self, linger: int | None = None) -> None:
        """Close it and what stands before it."""
        if self._guard:
            self._guard.end()
        super().close(linger)  # type: ignore[no-untyped-call]

    def recv_from_client(self) -> tuple[str, Message]:
        """The next message of a worker; strangers are passed over, and the master's other work goes on meanwhile."""
        while True:
            try:
                frames = self.socket.recv_multipart()
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            content = self._end.unwrap(frames)
            message = None if content is None else self._message(frames[0], content)
            if message is not None:
                return message.node_id, message
            gevent.sleep(0)

    def send_to_client(self, msg: Message) -> None:
        """Say it to the worker that it names; one that never spoke has no ears."""
        name = msg.node_id.encode()
        if self._end.worker_of(name) is not None:
            super().send_to_client(_Wrapped(msg, lambda content: self._end.wrap(name, content)))

    def _message(self, sender: bytes, content: bytes) -> Message | None:
        """What a worker of ours said, under its own name."""
        try:
            message: Message = Message.unserialize(content)  # type: ignore[no-untyped-call]
            if message.node_id.encode() == sender:
                return message
        except _UNREADABLE:
            pass
        self._end.dropped += 1
        return None


class WorkerSocket(Client):
    """Locust's socket of a worker, which hears nobody but the master of this run.

    `name`: its own in Locust. `key`: of the run, when the master is on another machine.
    """

    def __init__(self, host: str, port: int, name: str, envelope: Envelope, key: RunKey | None = None) -> None:
        BaseSocket.__init__(self, zmq.DEALER, ipv4_only=":" not in host)  # type: ignore[no-untyped-call]
        self._envelope = envelope
        self.socket.setsockopt(zmq.IDENTITY, name.encode())
        if key is not None:
            key.call(self.socket)
        self.socket.connect(endpoint(host, port))

    def send(self, msg: Message) -> None:
        """Say it to the master."""
        super().send(_Wrapped(msg, self._envelope.wrap))

    def recv(self) -> Message:
        """The next message of the master."""
        while True:
            try:
                content = self._envelope.unwrap(self.socket.recv())
            except zmq.ZMQError as error:
                raise RPCError("ZMQ network broken") from error
            if content is not None:
                message: Message = Message.unserialize(content)  # type: ignore[no-untyped-call]
                return message
            gevent.sleep(0)


class _Wrapped(Message):
    """A message that Locust's own sending, with its retries, turns into bytes by our wrapping."""

    def __init__(self, message: Message, wrap: Callable[[bytes], bytes]) -> None:
        super().__init__(message.type, message.data, message.node_id)  # type: ignore[no-untyped-call]
        self._wrap = wrap

    def serialize(self) -> bytes:
        """Wrapped anew each time: an attempt that failed may have been heard."""
        return self._wrap(super().serialize())  # type: ignore[no-untyped-call]
