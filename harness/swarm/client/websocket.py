"""A WebSocket on the lean client's connections, recorded like any other connect.

A network that goes away says nothing. So a socket that has heard nothing for half of `ClientLimits.idle_s` pings, which
every server must answer (RFC 6455 §5.5.2); when the other half passes in silence too, it is lost, error "timeout".

A platform that is crowded says when to come back, with `Retry-After` on a refusal or as `retry_after_s=…` in the reason
of a close; both end up in `FeedSocket.retry_after_s`.
"""

from __future__ import annotations

import base64
import hashlib
import os
from functools import lru_cache
from time import monotonic, time, time_ns
from typing import Final
from urllib.parse import urlsplit

import msgspec
from websocket import ABNF

from harness.platform import Call, Person
from harness.record.schema import Outcome
from harness.request_target import request_target
from harness.swarm.client.body import Body
from harness.swarm.client.documents import decode
from harness.swarm.client.message import HEAD_END, INTERIM_MAX, Head, MalformedResponse, ends_badly
from harness.swarm.client.transport import RECEIVE_BYTES, CallFailed, ClientLimits, Connection, Origin, resolve
from harness.swarm.client.types import seconds_until
from harness.swarm.client.ws_messages import NO_CODE, NORMAL, MessageReader
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from harness.swarm.recording.tracing import traceparent

SWITCHED: Final = 101
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def upgrade_key() -> bytes:
    """A nonce for one handshake."""
    return base64.b64encode(os.urandom(16))


def upgrade_request(origin: Origin, target: str, key: bytes, headers: bytes = b"") -> bytes:
    """What asks a server to switch. `target`: escaped. `headers`: complete lines, each ended by CRLF."""
    scheme = "https" if origin.secure else "http"
    lines = (
        f"GET {target} HTTP/1.1\r\nHost: {origin.authority}\r\n"
        f"Origin: {scheme}://{origin.authority}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    )
    return b"%b%b\r\n%b\r\n" % (lines.encode(), key, headers)


def check_upgrade(head: Head, key: bytes) -> None:
    """Raises `MalformedResponse` when this answer, a 101, does not belong to the request that had that key."""
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    switched = b",".join(head.fields(b"connection")).lower().split(b",")
    if (
        (head.get(b"upgrade") or b"").lower() != b"websocket"
        or b"upgrade" not in [option.strip() for option in switched]
        or head.fields(b"sec-websocket-accept") != [base64.b64encode(digest)]
    ):
        raise MalformedResponse("no answer to this handshake")
    if head.get(b"sec-websocket-extensions") or head.get(b"sec-websocket-protocol"):
        raise MalformedResponse("an extension or a subprotocol that was not asked for")


STEP: Final = "feed"
METHOD: Final = "WS"
_LIMITS: Final = ClientLimits()
_NEVER: Final = float("inf")
_ORDERLY: Final = frozenset({NORMAL, 1001, NO_CODE})  # close codes
_PING: Final = b"\x89\x80\0\0\0\0"  # without data there is nothing to mask
_REASON: Final = "retry_after_s="
_PROBLEM_BYTES_MAX: Final = 65_536
_HINT_MAX_S: Final = 120.0  # whoever asks for more is not believed


class PingingConnection(Connection):
    """A connection that asks a silent other side whether it is still there, and expires when no answer comes.

    `idle_s`: how long silence is put up with while somebody waits in `receive`; 0: only the deadline holds.
    """

    __slots__ = ("_asked", "idle_s")

    def __init__(self, origin: Origin, limits: ClientLimits) -> None:
        super().__init__(origin, limits)
        self.idle_s = 0.0
        self._asked = False

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """Receives bytes. When none come for half of `idle_s`, the wait ends, so that the socket can ping."""
        if not self.idle_s:
            return super().receive(size)
        self._asked = False
        self.deadline_s = monotonic() + self.idle_s / 2
        data = super().receive(size)
        self.deadline_s = _NEVER  # nobody waits: what comes meanwhile lies in the kernel
        return data

    def send(self, data: bytes) -> None:
        """Sends. Once the socket is open, a server that takes no bytes for `idle_s` is a time-out."""
        if self.idle_s:
            self.deadline_s = monotonic() + self.idle_s
        super().send(data)
        if self.idle_s:
            self.deadline_s = _NEVER

    def expire(self) -> None:
        """The first time ask; the second time, or when that is impossible, give it up."""
        if not self.idle_s or self._asked or not self._ask():
            super().expire()

    def _ask(self) -> bool:
        self._asked = True
        self.deadline_s = monotonic() + self.idle_s / 2
        try:
            sent: int = self.send_some(_PING)
        except OSError:
            return False
        return sent == len(_PING)


@lru_cache(maxsize=64)
def _origin(scheme: str, netloc: str) -> Origin:
    """Resolved once: a look-up for each of thousands who come back would be what is measured."""
    return resolve(f"{scheme}://{netloc}")


class FeedSocket:
    """One user's WebSocket; reconnects are new calls of `connect`."""

    __slots__ = (
        "_connection",
        "_limits",
        "_messages",
        "_person",
        "_recorder",
        "_span_id",
        "detail",
        "first_send_s",
        "retry_after_s",
    )

    def __init__(self, recorder: Recorder, person: Person, limits: ClientLimits | None = None) -> None:
        self.first_send_s: float | None = None
        self.detail = ""  # why it could not be opened, for people
        self.retry_after_s: float | None = None  # the platform's wish when it last refused us or sent us away
        self._recorder = recorder
        self._person = person
        self._limits = limits or _LIMITS
        self._span_id = ""
        self._connection: PingingConnection | None = None
        self._messages: MessageReader | None = None

    def connect(
        self,
        url: str,
        call: Call,
        headers: bytes = b"",
        *,
        step: str = STEP,
        page: str = "",
        origin: Origin | None = None,
    ) -> tuple[Outcome, str]:
        """Open it: how that ended and the error. One row of REQUESTS.

        `headers`: complete lines, each ended by CRLF. `origin`: where to, when it is resolved already.
        """
        seq = self._recorder.next_seq()
        start_s = monotonic()
        status, outcome, error = 0, Outcome.UNKNOWN, "stopped"
        self.retry_after_s = None
        self._span_id = ""
        try:
            status = self._open(url, headers, origin)
            if status == SWITCHED:
                outcome, error = Outcome.OK, ""
            else:
                outcome, error = Outcome.FAIL, "status"
        except CallFailed as failure:
            outcome = Outcome.FAIL if self._connection is None else Outcome.UNKNOWN
            error, self.detail = failure.error, failure.detail
        except MalformedResponse:
            error = "protocol"
        finally:
            end_s = monotonic()
            arrived_ns = self._connection.arrived_ns if self._connection else 0
            overstated_ms = max(0.0, (time_ns() - arrived_ns) / 1e6) if status and arrived_ns else None
            if error:
                self.close()
            person = self._person
            row = RequestRow(
                seq=seq,
                user=person.user,
                kind=person.kind,
                actor=person.actor,
                step=step,
                page=page,
                method=METHOD,
                t_intended_s=call.t_intended_s,
                t_start_s=start_s,
                t_first_byte_s=end_s if status else None,
                t_end_s=end_s,
                status=status,
                outcome=outcome.value,
                error=error,
                response_bytes=0,
                attempt=call.attempt,
                op=call.op,
                overstated_ms=overstated_ms,
            )
            self._recorder.request(row)
            if self._span_id:
                self._recorder.span(self._recorder.tracer.trace_of(person.kind, person.user), self._span_id, row)
        return outcome, error

    def receive(self) -> bytes | None:
        """The next message; null when the other side has ended it in order. Raises `CallFailed`."""
        told = self.receive_typed()
        return None if told is None else told[1]

    def receive_typed(self) -> tuple[int, bytes] | None:
        """The same with the message's opcode."""
        messages = self._messages
        if messages is None:
            raise CallFailed("reset")
        told = messages.read()
        if told is not None:
            return told
        self.retry_after_s = _seconds(messages.close_reason.removeprefix(_REASON))
        if messages.close_code in _ORDERLY:
            return None
        raise CallFailed("reset")

    def send(self, message: bytes, opcode: int = ABNF.OPCODE_TEXT) -> None:
        """Send a message, usually a text. Raises `CallFailed`."""
        if self._connection is None:
            raise CallFailed("reset")
        self._connection.send(ABNF.create_frame(message, opcode).format())

    def close(self) -> None:
        """Drop it without a farewell."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._messages = None

    def _open(self, url: str, headers: bytes, origin: Origin | None) -> int:
        """Connect and shake hands: the status of the answer; what a refusal says of coming back is noted."""
        self.close()
        parts, limits = urlsplit(url), self._limits
        origin = origin or _origin(parts.scheme, parts.netloc.rpartition("@")[2])
        self._connection = connection = PingingConnection(origin, limits)
        connection.deadline_s = monotonic() + limits.first_byte_s
        connection.stamped = True
        if self.first_send_s is None:
            self.first_send_s = monotonic()
        key = upgrade_key()
        connection.send(upgrade_request(origin, request_target(parts), key, headers + self._trace()))
        head, received = _read_head(connection, limits.head_bytes)
        if head.status != SWITCHED:
            self.retry_after_s = _wish_of(head, Body(connection, head.body_length(), received))
            return head.status
        check_upgrade(head, key)
        connection.deadline_s = _NEVER
        connection.stamped = False
        connection.idle_s = limits.idle_s
        self._messages = MessageReader(connection, received, limits.body_bytes)
        return head.status

    def _trace(self) -> bytes:
        """The header line that makes the platform's spans children of ours, where this user is traced."""
        trace_id = self._recorder.tracer.trace_of(self._person.kind, self._person.user)
        if not trace_id:
            return b""
        self._span_id = self._recorder.next_span()
        return f"traceparent: {traceparent(trace_id, self._span_id)}\r\n".encode()


def _read_head(connection: Connection, bytes_max: int) -> tuple[Head, bytes]:
    """The head of the answer, after interim ones, and what came with it."""
    received = b""
    for _ in range(INTERIM_MAX + 1):
        while (end := received.find(HEAD_END)) < 0:
            if len(received) > bytes_max:
                raise CallFailed("too_large")
            if ends_badly(received):
                raise MalformedResponse("a bare LF in the head")
            data = connection.receive()
            if not data:
                raise CallFailed("reset")
            received += data
        head, received = Head(received[:end]), received[end + len(HEAD_END) :]
        if head.status >= 200 or head.status == SWITCHED:
            return head, received
    raise MalformedResponse("one interim answer after another")


class _Problem(msgspec.Struct):
    """The part of a problem document that is of use here."""

    retry_after_s: float


def _wish_of(head: Head, body: Body) -> float | None:
    """When to come back: exactly as the problem document has it, else as the header has it."""
    content = b""
    try:
        while len(content) < _PROBLEM_BYTES_MAX and (piece := body.read()):
            content += piece
        return _seconds(str(decode(content, _Problem).retry_after_s))
    except (msgspec.DecodeError, CallFailed, MalformedResponse):
        return _seconds((head.get(b"retry-after") or b"").decode("latin-1"))


def _seconds(text: str) -> float | None:
    wish_s = seconds_until(text, time())
    return None if wish_s is None else min(wish_s, _HINT_MAX_S)
