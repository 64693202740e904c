"""Roles of the booking system as real processes, and a small HTTP client, for tests over the wire."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.processes.ports import free_ports
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EVENT = "e1"
SECRET = "for tests"
ADMIN_TOKEN = "operator"
OPEN_DOOR = {"challenge": "none", "joins_per_device": 0}  # what is asked of a join is tested in test_bots*.py
PATIENT = {"dependency_timeout_s": 15}  # on a busy machine nothing is away for being slow


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Client:
    """Asks whatever listens on a port."""

    port: int

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            content = body if body is None or isinstance(body, bytes) else json.dumps(body)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, content, named)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()


@dataclass(frozen=True)
class Server(Client):
    """A role that listens."""

    process: subprocess.Popen[bytes]


@dataclass
class EventStream:
    """The position stream of one ticket, read in a thread of its own until it ends."""

    port: int
    ticket: str
    last_event_id: str = ""
    events: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # id, name, data
    ended: bool = False

    def __enter__(self) -> EventStream:
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Queue {self.ticket}"}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        self._connection.request("GET", f"/api/events/{EVENT}/queue/positions", headers=headers)
        self._response = self._connection.getresponse()
        assert self._response.status == 200
        self._socket = self._connection.sock
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        import socket

        if not self.ended:
            sock = self._response.fp.raw._sock  # type: ignore[attr-defined]
            sock.shutdown(socket.SHUT_RDWR)
        self._reader.join(timeout=10)
        self._response.close()
        self._connection.close()

    def names(self) -> list[str]:
        return [name for _, name, _ in self.events]

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            while line := self._response.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name in {"id", "event", "data"}:
                    fields[name] = value
                elif not name and fields:
                    self.events.append((fields["id"], fields["event"], json.loads(fields["data"])))
                    fields = {}
        except (OSError, http.client.HTTPException):
            pass
        self.ended = True


@contextmanager
def running(role: str, **settings: object) -> Iterator[Server]:
    """`python -m target <role>`, healthy; the settings are named as in `Settings`."""
    (port,) = free_ports(1)
    own = {"listen": f"127.0.0.1:{port}", "event": EVENT, "secret": SECRET, "admin_token": ADMIN_TOKEN}
    own |= OPEN_DOOR | PATIENT | settings
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TARGET_")}
    environment |= {f"TARGET_{name.upper()}": str(value) for name, value in own.items()}
    process = subprocess.Popen([sys.executable, "-m", "target", role], cwd=ROOT, env=environment)
    server = Server(port, process)
    try:
        wait_until(lambda: process.poll() is not None or _healthy(server), within_s=60, what=f"a healthy {role}")
        assert process.poll() is None
        yield server
    finally:
        if process.poll() != -signal.SIGKILL:  # what a test killed is not asked again
            process.terminate()
            assert process.wait(timeout=30) == 0


def starting_takes_s(role: str, **settings: object) -> float:
    """How long such a process takes to be healthy, on this machine and just now."""
    began_s = time.monotonic()
    with running(role, **settings):
        return time.monotonic() - began_s


def _healthy(server: Server) -> bool:
    try:
        return server.ask("GET", "/healthz").status == 200
    except OSError:
        return False
