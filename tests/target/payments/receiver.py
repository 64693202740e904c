"""Receives webhooks over HTTP, verifies them and keeps them; it can be told to refuse."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import msgspec

from target.payments.records import WebhookEvent
from target.payments.signatures import HEADER, verify

SECRET = "between the two"


class Receiver:
    """A webhook endpoint. `refusals`: how many webhooks it answers with 503 before it takes one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.taken: list[WebhookEvent] = []
        self.taken_at_s: list[float] = []
        self.refused = 0
        self.refusals = 0
        self._lock = threading.Lock()

    def take(self, header: str, body: bytes) -> int:
        verify(SECRET, header, body, now_s=time.time())
        with self._lock:
            if self.refusals:
                self.refusals -= 1
                self.refused += 1
                return 503
            self.taken_at_s.append(time.time())
            self.taken.append(msgspec.json.decode(body, type=WebhookEvent))
            return 204

    def types(self, order_id: str) -> list[str]:
        """What was reported of an order, in order of arrival."""
        return [event.type.removeprefix("charge.") for event in self.taken if event.charge.order_id == order_id]


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(receiver.take(self.headers[HEADER], body))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
