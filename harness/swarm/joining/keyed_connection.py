"""A worker machine's connection to a master: encrypted, and open only where both ends have the run's key.

Nothing here imports locust or gevent.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

import msgspec
import zmq
from zmq.utils.monitor import recv_monitor_message

from harness.errors import EnvironmentProblem, InputError
from harness.hosts import host_and_port
from harness.swarm.joining.handshake import DEFAULT_PORT, LINE_BYTES_MAX
from harness.swarm.messaging.run_key import RunKey, endpoint

_CONNECT_S: Final = 5.0
_KNOCK_AGAIN_S: Final = 0.5
_LAST_WORDS_MS: Final = 1000
_REFUSED: Final = (
    zmq.EVENT_DISCONNECTED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_NEVER: Final = -1


class Master(msgspec.Struct, frozen=True):
    """Where a master's join server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Master:
        """HOST or HOST:PORT. Raises InputError."""
        host, port = host_and_port(text, "--master")
        return cls(host, port or DEFAULT_PORT)


class KeyedConnection:
    """One connection, which is not made again once it has ended. Messages are lines."""

    def __init__(self, master: Master, key: RunKey) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LINE_BYTES_MAX)
        self._socket.setsockopt(zmq.RECONNECT_IVL, _NEVER)
        self._socket.setsockopt(zmq.LINGER, _LAST_WORDS_MS)
        self._socket.setsockopt(zmq.IPV6, int(":" in master.host))
        key.call(self._socket)
        events = zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_SUCCEEDED | _REFUSED
        self._events = self._socket.get_monitor_socket(events)
        self.has_ended = False
        try:
            self._socket.connect(endpoint(master.host, master.port))
        except BaseException:
            self.close()
            raise

    def opened(self) -> bool:
        """Whether the other end has the key; False: it ended the handshake. Raises OSError when nobody is there."""
        if not self._events.poll(int(_CONNECT_S * 1000)):
            raise TimeoutError("timed out")
        event = recv_monitor_message(self._events)["event"]
        if event == zmq.EVENT_CLOSED:
            raise ConnectionRefusedError("nobody listens there")
        return not event & _REFUSED

    def send(self, line: bytes) -> None:
        """Say it. What a connection that has ended cannot carry is dropped: see `has_ended`."""
        self._note_end()
        if not self.has_ended:
            self._socket.send(line)

    def receive(self, within_s: float) -> bytes | None:
        """The next line, or null when none comes in time."""
        if self._socket.poll(int(within_s * 1000)):
            return self._socket.recv()
        self._note_end()
        return None

    def close(self) -> None:
        """End it. What was said last is still delivered."""
        self._socket.disable_monitor()
        self._events.close(linger=0)
        self._socket.close()
        self._context.term()

    def _note_end(self) -> None:
        while self._events.poll(0):
            self.has_ended |= bool(recv_monitor_message(self._events)["event"] & _REFUSED)


def reach(master: Master, key: RunKey, wait_s: float) -> KeyedConnection:
    """A connection to the join server; tries again while nobody listens.

    Raises InputError when it does not have the key, EnvironmentProblem when nobody is there.
    """
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return _opened(master, key)
        except OSError as error:
            if time.monotonic() + _KNOCK_AGAIN_S > deadline_s:
                raise EnvironmentProblem(
                    f"no master answers at {master}: {error}",
                    hint="start `gatecrash rehearse … --remote-workers N --listen HOST` there first",
                ) from error
        time.sleep(_KNOCK_AGAIN_S)


def _opened(master: Master, key: RunKey) -> KeyedConnection:
    """Raises OSError when nobody is there, InputError when it does not have the key."""
    connection = KeyedConnection(master, key)
    try:
        if connection.opened():
            return connection
        raise InputError(  # noqa: TRY301 - the connection is closed as in every other failure
            f"what listens at {master} does not have this key",
            key="--key",
            hint="copy the line that the master shows; each rehearsal draws another key",
        )
    except BaseException:
        connection.close()
        raise


def await_host(host: str, wait_s: float, say: Callable[[str], None]) -> None:
    """Wait until the name has an address, which one of a cluster has only once its pod runs. Raises InputError."""
    deadline_s = time.monotonic() + wait_s
    told = False
    while True:
        try:
            socket.getaddrinfo(host, None)
            return
        except socket.gaierror as error:
            if time.monotonic() + _KNOCK_AGAIN_S > deadline_s:
                raise InputError(f"there is no host {host}: {error.strerror}", key="--master") from error
            if not told:
                say(f"there is no host {host} yet ({error.strerror}); trying for {wait_s:g} s")
                told = True
        time.sleep(_KNOCK_AGAIN_S)
