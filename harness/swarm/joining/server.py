"""The master's join server: takes in workers of other machines and watches their heartbeats.

It hears nobody who has not proved the run's key, see `guard`: a stranger can take no worker's place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import monotonic
from typing import Final

import gevent
import msgspec
import zmq.green as zmq

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
from harness.swarm.messaging.guard import Guard
from harness.swarm.messaging.protocol import Reach, SwarmSpec
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.recording.progress_file import Begun

_LOOK_EVERY_S: Final = 0.25
_STOOD_STILL_S: Final = 2.0
_LAST_WORDS_WITHIN_S: Final = 0.5  # of a connection that has ended: they may still be on their way to us
_log = logging.getLogger(__name__)


class Departure(msgspec.Struct, frozen=True):
    """How a worker went. `begun`: all that it did, where its side could still tell."""

    why: str
    begun: Begun | None = None


class _Member(msgspec.Struct):
    """A worker that was let in. `connection`: its file descriptor. `closed_s`: when that ended."""

    number: int
    host: str
    connection: int
    heard_s: float
    closed_s: float | None = None


class JoinServer:
    """Numbers `first`, `first` + 1 … are given to those who may join, up to `spec.reach.remote_workers` of them.

    `key_of`: the key of a worker's channel, which it is given when it is let in.
    """

    def __init__(self, spec: SwarmSpec, first: int, locust_port: int, key_of: Callable[[int], bytes]) -> None:
        """Raises EnvironmentProblem when it cannot listen there, InputError when a file that is needed is missing."""
        addresses = msgspec.structs.replace(spec.addresses, admin_token="")  # only workers of this machine settle
        self._spec = msgspec.structs.replace(spec, addresses=addresses, reach=Reach())
        self._files = files_of(spec)
        self._free = list(range(first, first + spec.reach.remote_workers))
        self._locust_port = locust_port
        self._key_of = key_of
        self._versions = own_versions()
        self._members: dict[bytes, _Member] = {}
        self._lost: dict[int, Departure] = {}
        self._closed_for = ""
        self._socket = zmq.Context().socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LINE_BYTES_MAX)
        self._guard = Guard(self._socket, RunKey.parse(spec.reach.key))
        reach = spec.reach
        try:
            self.port = self._guard.listen(reach.listen, reach.port)
        except zmq.ZMQError as error:
            raise EnvironmentProblem(
                f"cannot listen for workers at {reach.listen}:{reach.port}: {error.strerror or error}",
                hint="give another --listen HOST:PORT",
            ) from error
        self._work = [gevent.spawn(self._serve), gevent.spawn(self._watch)]

    @property
    def refused(self) -> int:
        """Connections that did not prove the run's key."""
        return self._guard.refused

    def close(self, why: str) -> None:
        """From now on nobody may join: a late worker would come to an on-sale that is long under way."""
        self._closed_for = why

    def lost_workers(self) -> dict[int, Departure]:
        """Worker → how it went, of those that were lost since the last call."""
        lost, self._lost = self._lost, {}
        return lost

    def end(self) -> None:
        """Stop listening; those inside are told by Locust."""
        gevent.killall(self._work)
        self._guard.end()
        self._socket.close(linger=0)

    def _serve(self) -> None:
        while True:
            frames = self._socket.recv_multipart(copy=False)
            self._note_closed()  # before this message is read: its connection may have got the number of one that ended
            if len(frames) == 2:
                sender, line = (frame.bytes for frame in frames)
                self._hear(sender, line, frames[1])

    def _hear(self, sender: bytes, line: bytes, frame: zmq.Frame) -> None:
        member = self._members.get(sender)
        if member is None:
            answer = self._answer(line)
            self._say(sender, encode(answer))
            if isinstance(answer, Welcome):
                host, connection = str(frame.get("Peer-Address")), int(frame.get(zmq.SRCFD))
                self._members[sender] = _Member(answer.number, host, connection, monotonic())
        elif line == HEARTBEAT:
            member.heard_s = monotonic()
            self._say(sender, HEARTBEAT)
        else:
            self._part(sender, _farewell(line, member.host))

    def _say(self, sender: bytes, line: bytes) -> None:
        """A worker that does not read what it is told is lost; nobody waits for it."""
        try:
            self._socket.send_multipart([sender, line], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            _log.warning("a worker could not be answered: %s", error)

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
            files=self._files,
            key=self._key_of(number).hex(),
        )

    def _watch(self) -> None:
        """Notice those that have gone: their connection ended, or their heartbeats stopped."""
        while True:
            slept_s = monotonic()
            gevent.sleep(_LOOK_EVERY_S)
            self._note_closed()
            now_s = monotonic()
            if now_s - slept_s > _STOOD_STILL_S:
                continue  # what was said meanwhile has not been read yet
            for sender, member in list(self._members.items()):
                if member.closed_s is not None and now_s - member.closed_s > _LAST_WORDS_WITHIN_S:
                    self._part(sender, Departure(f"{member.host} ended its connection"))
                elif now_s - member.heard_s > LOST_AFTER_S:
                    self._part(sender, Departure(f"nothing was heard from {member.host} for {LOST_AFTER_S:g} s"))

    def _note_closed(self) -> None:
        closed = self._guard.closed()
        for member in self._members.values():
            if member.connection in closed and member.closed_s is None:
                member.closed_s = monotonic()

    def _part(self, sender: bytes, departure: Departure) -> None:
        self._lost[self._members.pop(sender).number] = departure


def _farewell(line: bytes, host: str) -> Departure:
    try:
        farewell = decode_farewell(line)
    except msgspec.DecodeError as error:
        return Departure(f"{host} said something of no use: {error}")
    return Departure(f"on {host} it ended with exit code {farewell.exit_code}", farewell.begun)
