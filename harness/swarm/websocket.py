"""A WebSocket through websocket-client, on the lean client's connections, recorded like any other connect.

websocket-client asks its socket for two bytes at a time; a buffer in between makes that one system call per burst
instead of three per message.

A network that goes away says nothing. So a socket that has heard nothing for half of `Limits.idle_s` pings, which every
server must answer (RFC 6455 §5.5.2); when the other half passes in silence too, it is lost, error "timeout".

A platform that is crowded says when to come back, with `Retry-After` on a refusal or as `retry_after_s=…` in the reason
of a close; both end up in `FeedSocket.retry_after_s`.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

import msgspec
import websocket

from harness.platform import Call, Person
from harness.record.schema import Outcome
from harness.swarm.recorder import Recorder
from harness.swarm.tracing import traceparent
from harness.swarm.transport import RECEIVE_BYTES, CallFailed, Connection, Limits, Origin, resolve

STEP: Final = "feed"
METHOD: Final = "WS"
_BURST_BYTES: Final = 2048  # a user who is far behind takes its turn with the others
_SWITCHED: Final = 101
_NEVER: Final = float("inf")
_ORDERLY: Final = (b"\x03\xe8", b"\x03\xe9")  # close codes 1000 and 1001
_PING: Final = b"\x89\x80\0\0\0\0"  # without data there is nothing to mask
_REASON: Final = "retry_after_s="
_HINT_MAX_S: Final = 120.0  # whoever asks for more is not believed


class PingingConnection(Connection):
    """A connection that asks a silent other side whether it is still there, and expires when no answer comes.

    `idle_s`: how long silence is put up with while somebody waits in `receive`; 0: only the deadline holds.
    """

    __slots__ = ("_asked", "idle_s")

    def __init__(self, origin: Origin, limits: Limits) -> None:
        super().__init__(origin, limits)
        self.idle_s = 0.0
        self._asked = False

    def receive(self, size: int = RECEIVE_BYTES) -> bytes:
        """As ever, but silence counts."""
        if not self.idle_s:
            return super().receive(size)
        self._asked = False
        self.deadline_s = monotonic() + self.idle_s / 2
        data = super().receive(size)
        self.deadline_s = _NEVER  # nobody waits: what comes meanwhile lies in the kernel
        return data

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


class BufferedSocket:
    """What websocket-client takes for a socket: reads ahead, so that small reads are served from memory."""

    def __init__(self, connection: Connection, message_bytes_max: int) -> None:
        self.left_bytes = self._message_bytes_max = message_bytes_max
        self._connection = connection
        self._buffer = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; empty at the end of file. Raises `CallFailed` for a message that is too large."""
        self.left_bytes -= size
        if self.left_bytes < 0:
            raise CallFailed("too_large")
        if self._at >= len(self._buffer):
            self._buffer = self._connection.receive(max(_BURST_BYTES, size))
            self._at = 0
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece

    def next_message(self) -> None:
        """Another one begins; it may be as large as the last."""
        self.left_bytes = self._message_bytes_max

    def send(self, data: bytes) -> int:
        """All of it."""
        self._connection.send(data)
        return len(data)

    def gettimeout(self) -> None:
        """None: the connection's own deadline holds."""

    def settimeout(self, _timeout_s: float | None) -> None:
        """Ignored: the connection's own deadline holds."""

    def shutdown(self, _how: int) -> None:
        """Left to `close`."""

    def close(self) -> None:
        """Drop the connection."""
        self._connection.close()


class FeedSocket:
    """One user's WebSocket; reconnects are new calls of `connect`."""

    def __init__(self, recorder: Recorder, person: Person, limits: Limits | None = None) -> None:
        self.first_send_s: float | None = None
        self.retry_after_s: float | None = None  # the platform's wish when it last refused us or sent us away
        self._recorder = recorder
        self._person = person
        self._limits = limits or Limits()
        self._span_id = ""
        self._socket: websocket.WebSocket | None = None
        self._connection: PingingConnection | None = None

    def connect(self, url: str, call: Call) -> tuple[Outcome, str]:
        """Open it: how that ended and the error. One row of REQUESTS."""
        seq = self._recorder.next_seq()
        start_s = monotonic()
        status, outcome, error = 0, Outcome.UNKNOWN, "stopped"
        self.retry_after_s = None
        self._span_id = ""
        try:
            self._open(url)
            status, outcome, error = _SWITCHED, Outcome.OK, ""
        except websocket.WebSocketBadStatusException as refused:
            status, outcome, error = refused.status_code, Outcome.FAIL, "status"
            self.retry_after_s = _wish_of(refused)
        except CallFailed as failure:
            outcome = Outcome.FAIL if self._connection is None else Outcome.UNKNOWN
            error = failure.error
        except websocket.WebSocketConnectionClosedException:
            error = "reset"
        except (websocket.WebSocketException, ValueError):
            error = "protocol"
        finally:
            end_s = monotonic()
            if error:
                self.close()
            person = self._person
            row = (
                seq,
                person.user,
                person.kind,
                STEP,
                METHOD,
                call.t_intended_s,
                start_s,
                end_s if status else None,
                end_s,
                status,
                outcome.value,
                error,
                0,
                call.attempt,
            )
            self._recorder.request(row)
            if self._span_id:
                self._recorder.span(self._recorder.tracer.trace_of(person.kind, person.user), self._span_id, row)
        return outcome, error

    def receive(self) -> bytes:
        """The next text message; empty when the other side has ended it in order. Raises `CallFailed`."""
        if self._socket is None:
            raise CallFailed("reset")
        try:
            self._buffered.next_message()
            opcode, data = self._socket.recv_data()
        except websocket.WebSocketConnectionClosedException:
            raise CallFailed("reset") from None
        except websocket.WebSocketException:
            raise CallFailed("protocol") from None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            self.retry_after_s = _seconds(bytes(data[2:]).decode(errors="replace").removeprefix(_REASON))
            if data[:2] in _ORDERLY:
                return b""
            raise CallFailed("reset")
        return bytes(data)

    def close(self) -> None:
        """Drop it without a farewell."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._socket = None

    def _open(self, url: str) -> None:
        self.close()
        self._connection = connection = PingingConnection(resolve(url), self._limits)
        self._buffered = BufferedSocket(connection, self._limits.body_bytes)
        connection.deadline_s = monotonic() + self._limits.first_byte_s
        if self.first_send_s is None:
            self.first_send_s = monotonic()
        self._socket = websocket.WebSocket(skip_utf8_validation=True, enable_multithread=False)
        trace_id = self._recorder.tracer.trace_of(self._person.kind, self._person.user)
        self._span_id = self._recorder.next_span() if trace_id else ""
        headers = [f"traceparent: {traceparent(trace_id, self._span_id)}"] if trace_id else []
        self._socket.connect(url, header=headers, socket=self._buffered, redirect_limit=0)  # type: ignore[no-untyped-call]
        connection.deadline_s = _NEVER
        connection.idle_s = self._limits.idle_s


class _Problem(msgspec.Struct):
    """The part of a problem document that is of use here."""

    retry_after_s: float


def _wish_of(refused: websocket.WebSocketBadStatusException) -> float | None:
    """When to come back: exactly as the problem document has it, else in whole seconds as the header has it."""
    try:
        return _seconds(str(msgspec.json.decode(refused.resp_body or b"", type=_Problem).retry_after_s))
    except msgspec.DecodeError:
        return _seconds((refused.resp_headers or {}).get("retry-after", ""))


def _seconds(text: str) -> float | None:
    usable = text.isascii() and text.replace(".", "", 1).isdigit()
    return min(float(text), _HINT_MAX_S) if usable else None
