"""A real TCP server, in threads, that answers each request as a test scripts it: byte by byte, badly, or not at all."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.waiting import wait_until


class Hang:
    """Say nothing more, and keep the connection until the other side is gone."""


@dataclass
class Asked:
    """One request as it arrived. `connection` counts connections from 0."""

    method: str
    target: str
    head: str
    body: bytes
    connection: int
    socket: socket.socket

    def header(self, name: str) -> str:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return ""


Script = Callable[[Asked], Iterable[bytes | Hang]]


@dataclass
class ScriptedServer:
    """`asked` collects every request. A script that ends with None closes the connection."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    closed: int = 0
    context: ssl.SSLContext | None = None
    _open: list[socket.socket] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection, self.connections), daemon=True).start()
            self.connections += 1

    def _talk(self, connection: socket.socket, number: int) -> None:
        try:
            with connection if self.context is None else Secured.of(self.context, connection) as end:
                self._converse(end, number)
        except OSError:
            return
        finally:
            connection.close()
            self.closed += 1

    def wait_closed(self, count: int) -> bool:
        """Whether so many connections have ended by now, or do soon."""
        wait_until(lambda: self.closed >= count, what="a closed connection")
        return True

    def _converse(self, connection: socket.socket, number: int) -> None:
        while (asked := _read(connection, number)) is not None:
            self.asked.append(asked)
            for piece in self.script(asked):
                if piece is CLOSE:
                    if isinstance(connection, Secured):
                        connection.say_goodbye()
                    return
                if isinstance(piece, Hang):
                    while connection.recv(65536):
                        continue
                    return
                connection.sendall(piece)

    def close(self) -> None:
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


CLOSE = Hang()


class Secured(ssl.SSLSocket):
    """The server's end of a TLS connection."""

    @classmethod
    def of(cls, context: ssl.SSLContext, connection: socket.socket) -> Secured:
        context.sslsocket_class = cls
        return context.wrap_socket(connection, server_side=True)

    def say_goodbye(self) -> None:
        """End it as TLS has it, without waiting for the answer."""
        self.settimeout(0)
        try:
            self.unwrap()
        except OSError:
            return

    def detach_and_cut(self) -> None:
        """End the connection underneath, without a word."""
        socket.socket.shutdown(self, socket.SHUT_WR)


@contextmanager
def serving(
    script: Script,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    listener: socket.socket | None = None,
) -> Iterator[ScriptedServer]:
    """The server, for as long as a test needs it; over TLS with a context, then as "localhost"."""
    with listener or socket.create_server((host, 0), backlog=512) as listener:
        host, port = listener.getsockname()
        near = host.replace("0.0.0.0", "127.0.0.1")
        url = f"https://localhost:{port}" if context else f"http://{near}:{port}"
        server = ScriptedServer(script, url=url, context=context)
        thread = threading.Thread(target=server.serve, args=(listener,), daemon=True)
        thread.start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(2)


def response(body: bytes = b"", status: int = 200, *headers: str) -> bytes:
    """A whole, proper response."""
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def _read(connection: socket.socket, number: int) -> Asked | None:
    data = b""
    while b"\r\n\r\n" not in data:
        received = connection.recv(65536)
        if not received:
            return None
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    text = head.decode("latin-1")
    method, target, _ = text.split("\r\n")[0].split(" ")
    asked = Asked(method, target, text, b"", number, connection)
    length = int(asked.header("content-length") or 0)
    while len(body) < length:
        body += connection.recv(65536)
    asked.body = body
    return asked
