"""The master's join server: takes in workers of other machines and watches their heartbeats."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import BinaryIO, Final

import msgspec
from gevent import Timeout
from gevent.server import StreamServer

from harness.errors import EnvironmentProblem
from harness.swarm.joining.handshake import (
    HEARTBEAT,
    LINE_BYTES_MAX,
    LOST_AFTER_S,
    Answer,
    JoinRequest,
    Refused,
    Welcome,
    decode_farewell,
    decode_join_request,
    differences,
    encode,
    files_of,
    own_versions,
    scenario_digest,
)
from harness.swarm.messaging.protocol import SwarmSpec
from harness.swarm.recording.progress_file import Begun

_REQUEST_WITHIN_S: Final = 5.0
_log = logging.getLogger(__name__)


class Departure(msgspec.Struct, frozen=True):
    """How a worker went. `begun`: all that it did, where its side could still tell."""

    why: str
    begun: Begun | None = None


class JoinServer:
    """Numbers `first`, `first` + 1 … are given to those who may join, up to `spec.reach.remote_workers` of them.

    `key_of`: the key of a worker's channel, which it is given when it is let in.
    """

    def __init__(self, spec: SwarmSpec, first: int, locust_port: int, key_of: Callable[[int], bytes]) -> None:
        """Raises EnvironmentProblem when it cannot listen there."""
        addresses = msgspec.structs.replace(spec.addresses, admin_token="")  # only workers of this machine settle
        self._spec = msgspec.structs.replace(spec, addresses=addresses)
        self._free = list(range(first, first + spec.reach.remote_workers))
        self._locust_port = locust_port
        self._key_of = key_of
        self._versions = own_versions()
        self._lost: dict[int, Departure] = {}
        self._closed_for = ""
        reach = spec.reach
        self._server = StreamServer((reach.listen, reach.port), self._serve)
        try:
            self._server.start()
        except OSError as error:
            raise EnvironmentProblem(
                f"cannot listen for workers at {reach.listen}:{reach.port}: {error.strerror or error}",
                hint="give another --listen HOST:PORT",
            ) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def close(self, why: str) -> None:
        """From now on nobody may join: a late worker would come to an on-sale that is long under way."""
        self._closed_for = why

    def lost_workers(self) -> dict[int, Departure]:
        """Worker → how it went, of those that were lost since the last call."""
        lost, self._lost = self._lost, {}
        return lost

    def end(self) -> None:
        """Stop listening; those inside are told by Locust."""
        self._server.stop(timeout=0.1)

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        with connection, connection.makefile("rb") as lines:
            try:
                with Timeout(_REQUEST_WITHIN_S):
                    answer = self._answer(lines.readline(LINE_BYTES_MAX))
                    connection.sendall(encode(answer))
            except (Timeout, OSError) as error:
                _log.warning("a connection to the join server from %s said nothing of use: %s", address[0], error)
                return
            if isinstance(answer, Welcome):
                self._lost[answer.number] = self._watch(connection, lines, address[0])

    def _answer(self, line: bytes) -> Answer:
        try:
            request = decode_join_request(line)
        except msgspec.DecodeError as error:
            return Refused(message=f"this is no worker of gatecrash: {error}")
        return self._judge(request)

    def _judge(self, request: JoinRequest) -> Answer:
        if different := differences(self._versions, request.versions):
            return Refused(message=f"versions differ: {different}", hint="install the same on both machines")
        if request.scenario and request.scenario != scenario_digest(self._spec.scenario):
            return Refused(
                message=f"the master runs another scenario: {self._spec.scenario.name}",
                hint="give the worker the same file and options, or none",
            )
        if self._closed_for:
            return Refused(message=self._closed_for, hint="start workers before the rehearsal arms")
        if not self._free:
            return Refused(message="every worker that the master waits for is there", hint="raise --remote-workers")
        number = self._free.pop(0)
        return Welcome(
            number=number,
            port=self._locust_port,
            spec=self._spec,
            files=files_of(self._spec),
            key=self._key_of(number).hex(),
        )

    def _watch(self, connection: socket.socket, lines: BinaryIO, host: str) -> Departure:
        """Answer its heartbeats until they stop; returns how the worker went."""
        try:
            while True:
                with Timeout(LOST_AFTER_S):
                    line = lines.readline(LINE_BYTES_MAX)
                    if line == HEARTBEAT:
                        connection.sendall(HEARTBEAT)
                        continue
                if not line:
                    return Departure(f"{host} ended its connection")
                farewell = decode_farewell(line)
                return Departure(f"on {host} it ended with exit code {farewell.exit_code}", farewell.begun)
        except Timeout:
            return Departure(f"nothing was heard from {host} for {LOST_AFTER_S:g} s")
        except msgspec.DecodeError as error:
            return Departure(f"{host} said something of no use: {error}")
        except OSError as error:
            return Departure(f"the connection to {host} broke: {error.strerror or error}")
