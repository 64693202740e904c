"""The guard of a master's socket: lets workers in that have the run's key, and counts who has not."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import gevent
import zmq.green as zmq
from zmq.utils.monitor import parse_monitor_message

from harness.swarm.messaging.run_key import RunKey, endpoint

HANDSHAKE_WITHIN_MS: Final = 10_000
_REFUSED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_ZAP: Final = "inproc://zeromq.zap.01"
_ZAP_FRAMES: Final = 9  # of a request with the mechanism CURVE; the last one is the other end's public key


class Guard:
    """Stands before the endpoints that `listen` opens. `refused`: connections that did not prove the key."""

    def __init__(self, socket: zmq.Socket[bytes], key: RunKey) -> None:
        self._socket = socket
        self._key = key
        self._worker_public = key.worker_public
        self._refused = 0
        self._closed: set[int] = set()
        self._requests = socket.context.socket(zmq.ROUTER)
        self._requests.bind(_ZAP)
        self._events = socket.get_monitor_socket(_REFUSED | zmq.EVENT_DISCONNECTED)
        self._work = [gevent.spawn(self._authorise), gevent.spawn(self._observe)]

    def listen(self, host: str, port: int) -> int:
        """Take connections there; port 0 is any free one. Returns the port. Raises ZMQError."""
        self._key.serve(self._socket)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_WITHIN_MS)
        self._socket.setsockopt(zmq.IPV6, int(":" in host))
        if not port:
            return int(self._socket.bind_to_random_port(endpoint(host, 0).removesuffix(":0")))
        self._socket.bind(endpoint(host, port))
        return port

    @property
    def refused(self) -> int:
        """Connections that did not prove the key so far."""
        self._read_events()
        return self._refused

    def closed(self) -> set[int]:
        """The file descriptors of connections that have ended since the last call."""
        self._read_events()
        closed, self._closed = self._closed, set()
        return closed

    def end(self) -> None:
        """Stop; the socket itself is its owner's to close."""
        gevent.killall(self._work)
        self._socket.disable_monitor()
        for one in (self._requests, self._events):
            one.close(linger=0)

    def _authorise(self) -> None:
        """Answer libzmq's questions by the ZAP protocol, https://rfc.zeromq.org/spec/27: who may come in?"""
        while True:
            asker, _, version, request, *rest = self._requests.recv_multipart()
            known = len(rest) == _ZAP_FRAMES - 4 and rest[-1] == self._worker_public
            status, text = (b"200", b"") if known else (b"400", b"another key")
            self._requests.send_multipart([asker, b"", version, request, status, text, b"", b""])

    def _observe(self) -> None:
        """Read events as they come: libzmq would wait for us once too many are unread."""
        while True:
            self._take(self._events.recv_multipart())

    def _read_events(self) -> None:
        with suppress(zmq.Again):
            while True:
                self._take(self._events.recv_multipart(zmq.NOBLOCK))

    def _take(self, frames: list[bytes]) -> None:
        event = parse_monitor_message(frames)
        if event["event"] & _REFUSED:
            self._refused += 1
        else:
            self._closed.add(event["value"])
