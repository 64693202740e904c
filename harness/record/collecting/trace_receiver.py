"""Receives the spans of a platform of the user's own over OTLP/HTTP, and leaves them in a file for the record.

The file is as those of the booking system's processes, see `harness.record.collecting.spans`, which joins them with the
requests by trace id. Whoever reaches the address can send: bodies, connections and the file are bounded, only spans of
this run's journeys are taken, and nothing that is sent ends the receiver.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socket import AF_INET, AF_INET6, socket
from socketserver import ThreadingTCPServer
from typing import Final, Self, TypeAlias

import msgspec

from harness.errors import EnvironmentProblem
from harness.record.collecting.otlp import JSON, PROTOBUF, MalformedTraces, spans_of
from harness.record.schema import Anomaly

PATH: Final = "/v1/traces"
BODY_BYTES_MAX: Final = 4 * 1024 * 1024
UNPACKED_BYTES_MAX: Final = 16 * 1024 * 1024
FILE_BYTES_MAX: Final = 128 * 1024 * 1024
CONNECTIONS_MAX: Final = 16
_SILENT_MAX_S: Final = 10.0
_encoder: Final = msgspec.json.Encoder()
_Request: TypeAlias = socket | tuple[bytes, socket]


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status
        self.why = why


class TraceReceiver:
    """Listens at `host`:`port` while its context lasts. `belongs`: whether a trace id is of this run.

    Entering raises EnvironmentProblem when the address cannot be listened at.
    """

    def __init__(self, host: str, port: int, file: Path, belongs: Callable[[str], bool]) -> None:
        self._address = (host, port)
        self._file = file
        self._belongs = belongs
        self._lock = threading.Lock()
        self._bytes = 0
        self._server: _Server | None = None
        self.taken = 0
        self.foreign = 0
        self.dropped = 0
        self.refused = 0

    def __enter__(self) -> Self:
        try:
            self._server = _Server(self._address, self)
        except OSError as error:
            host, port = self._address
            raise EnvironmentProblem(
                f"spans cannot be received at {host}:{port}: {error.strerror or error}",
                hint="give platform.traces.listen a free port of this machine",
            ) from error
        threading.Thread(target=self._server.serve_forever, name="traces", daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self.dropped:
            self._append(_encoder.encode_lines([{"dropped": self.dropped}]), 2 * FILE_BYTES_MAX)

    def anomalies(self) -> tuple[Anomaly, ...]:
        """What a reader must know of the spans that were sent here."""
        found = []
        if not self.taken:
            others = f"; {self.foreign:,} spans were of other traces" if self.foreign else ""
            text = f"the platform sent no span of a journey of this run{others}"
            found.append(Anomaly(t_s=None, source="traces", text=text))
        if self.refused:
            text = f"{self.refused:,} requests to the receiver of spans were no exports of traces"
            found.append(Anomaly(t_s=None, source="traces", text=text))
        return tuple(found)

    def take(self, body: bytes, content_type: str) -> int:
        """Keep the spans of a body. Returns how many had no room. Raises MalformedTraces."""
        with self._lock:  # one at a time: a body may become much larger
            spans = spans_of(body, content_type)
            own = [span for span in spans if self._belongs(span.trace_id)]
            self.foreign += len(spans) - len(own)
            if self._append(_encoder.encode_lines(own), FILE_BYTES_MAX):
                self.taken += len(own)
                return 0
            self.dropped += len(own)
            return len(own)

    def note_refusal(self) -> None:
        """A request was no export of traces."""
        with self._lock:
            self.refused += 1

    def _append(self, lines: bytes, bytes_max: int) -> bool:
        if self._bytes + len(lines) > bytes_max:
            return False
        try:
            with self._file.open("ab") as file:
                file.write(lines)
        except OSError:
            return False
        self._bytes += len(lines)
        return True


class _Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], receiver: TraceReceiver) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.receiver = receiver
        self._places = threading.Semaphore(CONNECTIONS_MAX)
        super().__init__(address, _Handler)

    def process_request(self, request: _Request, client_address: object) -> None:
        """One more connection, unless there are too many: it is closed, and the exporter tries again."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: _Request, client_address: object) -> None:
        """See the base class."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: _Request, client_address: object) -> None:  # noqa: ARG002 - as the base class has it
        """A connection that broke is the sender's affair."""
        self.receiver.note_refusal()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "gatecrash"
    sys_version = ""
    timeout = _SILENT_MAX_S
    server: _Server

    def do_POST(self) -> None:
        """One ExportTraceServiceRequest."""
        kind = self.headers.get_content_type()
        try:
            dropped = self.server.receiver.take(self._body(kind), kind)
        except _Refused as refused:
            self._refuse(refused.status, refused.why, kind)
        except MalformedTraces:
            self._refuse(400, "no ExportTraceServiceRequest", kind)
        else:
            self._answer(200, kind, _partial(kind, dropped))

    def do_GET(self) -> None:
        """Only exporters are expected here."""
        self._refuse(405 if self.path == PATH else 404, f"post traces to {PATH}", JSON)

    def _body(self, kind: str) -> bytes:
        if self.path.partition("?")[0] != PATH:
            raise _Refused(404, f"post traces to {PATH}")
        if kind not in (JSON, PROTOBUF):
            raise _Refused(415, f"expected {PROTOBUF} or {JSON}")
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            raise _Refused(411, "expected a Content-Length")
        if int(length[:12]) > BODY_BYTES_MAX:
            raise _Refused(413, f"at most {BODY_BYTES_MAX:,} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise _Refused(400, "the body was cut")
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding == "identity":
            return body
        if encoding != "gzip":
            raise _Refused(415, "expected gzip, or no Content-Encoding")
        return _unpacked(body)

    def _refuse(self, status: int, why: str, kind: str) -> None:
        self.server.receiver.note_refusal()
        self.close_connection = True
        body = _encoder.encode({"code": 3, "message": why}) if kind == JSON else b""
        self._answer(status, kind if kind == PROTOBUF else JSON, body)

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Strangers write no log."""


def _unpacked(body: bytes) -> bytes:
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        found = unpacking.decompress(body, UNPACKED_BYTES_MAX)
    except zlib.error:
        raise _Refused(400, "no gzip") from None
    if unpacking.unconsumed_tail:
        raise _Refused(413, f"at most {UNPACKED_BYTES_MAX:,} bytes unpacked")
    if not unpacking.eof:
        raise _Refused(400, "the gzip was cut")
    return found


def _partial(kind: str, dropped: int) -> bytes:
    """The ExportTraceServiceResponse: it says how many spans had no room, so that the exporter can."""
    if kind == JSON:
        told = {"partialSuccess": {"rejectedSpans": str(dropped), "errorMessage": "no room"}} if dropped else {}
        return _encoder.encode(told)
    if not dropped:
        return b""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTracePartialSuccess,
        ExportTraceServiceResponse,
    )

    partial = ExportTracePartialSuccess(rejected_spans=dropped, error_message="no room")
    return bytes(ExportTraceServiceResponse(partial_success=partial).SerializeToString())
