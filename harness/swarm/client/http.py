"""A lean keep-alive HTTP/1.1 client on gevent sockets, with recording built in.

One client is one user's browser: one connection, one call at a time. Every call becomes one row of REQUESTS, however it
ends, and one `request` event of Locust's, so that Locust's own statistics stay alive. No call raises for what the
platform or the network does; a killed greenlet leaves its row behind as `unknown`, error "stopped".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from ssl import SSLSession
from time import monotonic, time_ns
from typing import Final, TypeVar

from harness.platform import Call, Person
from harness.record.schema import Outcome
from harness.swarm.client.body import Body
from harness.swarm.client.message import HEAD_END, INTERIM_MAX, Head, MalformedResponse, ends_badly, head_of
from harness.swarm.client.transport import CallFailed, ClientLimits, Connection, Origin
from harness.swarm.client.types import Endpoint, Response
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from harness.swarm.recording.tracing import traceparent

__all__ = ["CallFailed", "ClientLimits", "Endpoint", "HttpClient", "Prepared", "Response"]

T = TypeVar("T")
_NEVER: Final = float("inf")
_LIMITS: Final = ClientLimits()
_OK: Final = Outcome.OK.value
_FAIL: Final = Outcome.FAIL.value
_UNKNOWN: Final = Outcome.UNKNOWN.value
_SWITCHED: Final = 101
_REQUEST_TIMEOUT: Final = 408


class Prepared:
    """A request that is serialised, its connection open, not yet sent: a `harness.platform.PreparedRequest`."""

    __slots__ = ("_client", "data", "send_some")

    def __init__(self, client: HttpClient, send_some: Callable[[bytes], int], data: bytes) -> None:
        self._client = client
        self.send_some = send_some
        self.data = data

    def is_stale(self) -> bool:
        """Whether its connection is good for nothing any more. It never waits."""
        return self._client.is_stale()

    def was_sent(self, t_start_s: float) -> None:
        """All of it was sent at that instant; the client's next call reads its answer."""
        self._client.was_sent_ahead(self.data, t_start_s)

    def abandon(self) -> None:
        """Half a request may be on its connection: whoever sends it again needs another one."""
        self._client.close()


@cache
def _common_lines(origin: Origin) -> str:
    """What every request to one origin has after its target, up to the accepted encoding."""
    return f" HTTP/1.1\r\nHost: {origin.authority}\r\nAccept-Encoding: "


def _arrived_ns(connection: Connection) -> int:
    """Unix time at which the kernel had the end of the answer; 0: not asked for, or it does not say."""
    return connection.arrived_ns if connection.stamped else 0


class HttpClient:
    """One user's keep-alive connection to one origin."""

    __slots__ = (
        "_ahead",
        "_common",
        "_connection",
        "_limits",
        "_origin",
        "_recorder",
        "_rest",
        "_sent",
        "_sent_ahead",
        "_seq",
        "_session",
        "_span_id",
        "_t_first_byte_s",
        "_t_start_s",
        "_trace_id",
        "first_send_s",
        "person",
    )

    def __init__(self, origin: Origin, recorder: Recorder, person: Person, limits: ClientLimits = _LIMITS) -> None:
        self.person = person
        self.first_send_s: float | None = None
        self._origin = origin
        self._limits = limits
        self._recorder = recorder
        self._connection: Connection | None = None
        self._session: SSLSession | None = None
        self._common = _common_lines(origin)
        self._rest = b""  # bytes received after the head, or after the body
        self._trace_id = recorder.tracer.trace_of(person.kind, person.user)  # "": this user is not traced
        self._span_id = ""
        self._ahead: bytes | None = None  # what the barrier has sent and nobody has read the answer of
        self._sent = False
        self._sent_ahead = False
        self._seq = 0
        self._t_start_s = 0.0
        self._t_first_byte_s: float | None = None

    def another(self) -> HttpClient:
        """The same user's second connection, not yet opened."""
        return HttpClient(self._origin, self._recorder, self.person, self._limits)

    def prepare(self, endpoint: Endpoint, target: str, headers: bytes = b"") -> Prepared:
        """Connect and serialise a request without sending it. Raises `CallFailed`."""
        if self._connection is None:
            self._connection = self._connect()
        self._connection.watch()
        return Prepared(self, self._connection.send_some, self._serialise(endpoint, target, headers, None))

    def was_sent_ahead(self, data: bytes, t_start_s: float) -> None:
        """The barrier has sent this prepared request at that instant; the next call reads its answer."""
        self._ahead = data
        self._seq = self._recorder.next_seq()
        self._t_start_s = self.first_send_s = t_start_s

    def is_stale(self) -> bool:
        """Whether there is a connection on which the other side said something unasked, or that it closed."""
        return self._connection is not None and self._connection.has_stirred and self._connection.is_stale()

    @property
    def sent_ahead(self) -> bool:
        """Whether the barrier has sent a request whose answer nobody has read."""
        return self._ahead is not None

    def call(
        self, endpoint: Endpoint, target: str, call: Call, headers: bytes = b"", body: bytes | None = None
    ) -> Response:
        """Send a request and read its whole response. `headers`: complete lines, each ended by CRLF."""
        try:
            head = self._exchange(endpoint, target, headers, body)
            content = self._read_body(head, to_head=endpoint.method == "HEAD")
        except (CallFailed, MalformedResponse) as failure:
            return self._failed(endpoint, call, failure)
        except BaseException:
            self._failed(endpoint, call, CallFailed("stopped"))
            raise
        return self._answered(endpoint, call, head, content)

    def open_stream(
        self, endpoint: Endpoint, target: str, call: Call, headers: bytes, start: Callable[[Body, str], T]
    ) -> tuple[Response, T | None]:
        """Send a request whose expected answer is an endless body; `start` reads that up to its first event, and is
        told the Content-Type.

        The row is written when `start` returns, so its first byte is the first event; that is due within the longer of
        `whole_s` and `idle_s`. Reading the body later raises `CallFailed` when the connection is lost or silent for too
        long. Any other answer is read whole.
        """
        try:
            head = self._exchange(endpoint, target, headers, None)
            if head.status not in endpoint.expects:
                return self._answered(endpoint, call, head, self._read_body(head, to_head=False)), None
            content_type = (head.get(b"content-type") or b"").decode("latin-1")
            body = self._body(head)
            if self._connection is not None:
                self._connection.deadline_s = self._t_start_s + max(self._limits.whole_s, self._limits.idle_s)
            started = start(body, content_type)
            body.idle_s = self._limits.idle_s
        except (CallFailed, MalformedResponse) as failure:
            return self._failed(endpoint, call, failure), None
        except BaseException:
            self._failed(endpoint, call, CallFailed("stopped"))
            raise
        self._t_first_byte_s = monotonic()
        arrived_ns = 0
        if self._connection is not None:
            self._connection.deadline_s = self._t_first_byte_s + self._limits.idle_s
            arrived_ns = _arrived_ns(self._connection)
            self._connection.stamped = False
        return self._record(endpoint, call, head, b"", _OK, "", arrived_ns), started

    def close(self) -> None:
        """Drop the connection; the next call opens a new one."""
        self._ahead = None
        if self._connection is not None:
            if self._connection.secure:
                self._session = self._connection.session() or self._session
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        return Connection(self._origin, self._limits, self._session)

    # One exchange, up to the head of the response.

    def _serialise(self, endpoint: Endpoint, target: str, headers: bytes, body: bytes | None) -> bytes:
        first = f"{endpoint.method} {target}{self._common}{endpoint.accept_encoding}\r\n".encode()
        if self._trace_id:
            self._span_id = self._recorder.next_span()
            headers += f"traceparent: {traceparent(self._trace_id, self._span_id)}\r\n".encode()
        if body is None:
            return first + headers + b"\r\n"
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (first, headers, len(body), body)

    def _exchange(self, endpoint: Endpoint, target: str, headers: bytes, body: bytes | None) -> Head:
        self._t_first_byte_s = None
        data = self._ahead
        self._sent = self._sent_ahead = data is not None
        if data is None:
            self._seq = self._recorder.next_seq()
            self._t_start_s = monotonic()
            data = self._serialise(endpoint, target, headers, body)
        self._ahead = None
        reused = self._connection is not None
        if reused and not self._sent and self._is_used_up(endpoint):
            self.close()
            reused = False
        try:
            head = self._send_and_read_head(data)
            if not reused or not endpoint.idempotent or head.status != _REQUEST_TIMEOUT:
                return head
            # The other side gave up waiting on a connection that lay idle, before it saw this request.
        except CallFailed as failure:
            # A kept connection that ends before any byte of the answer was most likely closed while it lay idle.
            if not reused or not endpoint.idempotent or failure.error != "reset" or self._t_first_byte_s is not None:
                raise
        self.close()
        self._sent = False
        self._t_first_byte_s = None
        return self._send_and_read_head(data, again=True)

    def _is_used_up(self, endpoint: Endpoint) -> bool:
        """Whether the kept connection is good for nothing any more. Before what must not be sent twice the kernel is
        asked each time; else only where the loop has heard something."""
        connection = self._connection
        assert connection is not None  # noqa: S101 - asked by the only caller
        return (not endpoint.idempotent or connection.has_stirred) and connection.is_stale()

    def _connect_to_send(self) -> Connection:
        """A user whom the platform turns away has come all the same: the try counts as the first send."""
        asked_s = monotonic()
        try:
            return self._connect()
        except CallFailed:
            if self.first_send_s is None:
                self.first_send_s = asked_s
            raise

    def _send_and_read_head(self, data: bytes, *, again: bool = False) -> Head:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._connect_to_send()
        connection.stamped = self._seq % self._recorder.stamp_every == 0
        if not self._sent:
            start_s = monotonic()
            if not again:
                self._t_start_s = start_s
            if self.first_send_s is None:
                self.first_send_s = start_s
            connection.deadline_s = start_s + self._limits.first_byte_s
            self._sent = True
            connection.send(data)
        else:
            connection.deadline_s = monotonic() + self._limits.first_byte_s
        received = self._receive(connection)
        self._t_first_byte_s = monotonic()
        connection.deadline_s = self._t_start_s + self._limits.whole_s
        for _ in range(INTERIM_MAX + 1):
            while (end := received.find(HEAD_END)) < 0:
                if len(received) > self._limits.head_bytes:
                    raise CallFailed("too_large")
                if ends_badly(received):
                    raise MalformedResponse("a bare LF in the head")
                received += self._receive(connection)
            head = head_of(received[:end])
            received = received[end + 4 :]
            if head.status >= 200:
                self._rest = received
                return head
            if head.status == _SWITCHED:
                raise MalformedResponse("a switch of protocols that nobody asked for")
        raise MalformedResponse("one interim answer after another")

    def _receive(self, connection: Connection) -> bytes:
        data = connection.receive()
        if not data:
            raise CallFailed("reset")
        return data

    # The body of the response.

    def _read_body(self, head: Head, *, to_head: bool) -> bytes:
        length = head.body_length(to_head=to_head)
        if length < 0:
            return self._gather(head)
        if length > self._limits.body_bytes:
            raise CallFailed("too_large")
        rest = self._rest
        if len(rest) < length:
            connection = self._connection
            assert connection is not None  # noqa: S101 - the head was read from it
            parts = [rest]
            missing = length - len(rest)
            while missing > 0:
                parts.append(self._receive(connection))
                missing -= len(parts[-1])
            rest = b"".join(parts)
        self._rest = rest[length:]
        return rest[:length] if self._rest else rest

    def _gather(self, head: Head) -> bytes:
        body = self._body(head)
        parts: list[bytes] = []
        size = 0
        while piece := body.read():
            parts.append(piece)
            size += len(piece)
            if size > self._limits.body_bytes:
                raise CallFailed("too_large")
        self._rest = body.rest
        return b"".join(parts)

    def _body(self, head: Head) -> Body:
        assert self._connection is not None  # noqa: S101 - the head was read from it
        received, self._rest = self._rest, b""
        return Body(self._connection, head.body_length(), received)

    # How it ended.

    def _answered(self, endpoint: Endpoint, call: Call, head: Head, body: bytes) -> Response:
        connection, arrived_ns = self._connection, 0
        if connection is not None:
            connection.deadline_s = _NEVER
            arrived_ns = _arrived_ns(connection)
            if self._rest or not head.keeps_alive:
                self.close()
        if head.status in endpoint.expects:
            return self._record(endpoint, call, head, body, _OK, "", arrived_ns)
        return self._record(endpoint, call, head, body, _FAIL, "status", arrived_ns)

    def _failed(self, endpoint: Endpoint, call: Call, failure: CallFailed | MalformedResponse) -> Response:
        self.close()
        error = failure.error if isinstance(failure, CallFailed) else "protocol"
        response = self._record(endpoint, call, None, b"", _UNKNOWN if self._sent else _FAIL, error)
        response.detail = failure.detail if isinstance(failure, CallFailed) else str(failure)
        return response

    def _record(
        self,
        endpoint: Endpoint,
        call: Call,
        head: Head | None,
        body: bytes,
        outcome: str,
        error: str,
        arrived_ns: int = 0,
    ) -> Response:
        """`arrived_ns`: when the kernel had the end of the answer, unix time; 0: there was none, or it does not say."""
        end_s = monotonic()
        overstated_ms = (time_ns() - arrived_ns) / 1e6 if arrived_ns else None
        person = self.person
        start_s = self._t_start_s
        if overstated_ms is not None:
            late_s = start_s - call.t_intended_s if self._sent_ahead else call.late_s
            overstated_ms = max(0.0, overstated_ms) + max(0.0, late_s) * 1000.0
        row = RequestRow(  # by position, which takes a tenth of the time: in the order of REQUESTS
            self._seq,
            person.user,
            person.kind,
            person.actor,
            endpoint.step,
            endpoint.page,
            endpoint.recorded_as or endpoint.method,
            call.t_intended_s,
            start_s,
            self._t_first_byte_s,
            end_s,
            head.status if head else 0,
            outcome,
            error,
            len(body),
            call.attempt,
            call.op,
            overstated_ms,
        )
        self._recorder.request(row)
        if self._trace_id:
            self._recorder.span(self._trace_id, self._span_id, row)
        return Response(outcome, error, end_s, head, body)
