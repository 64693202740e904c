"""The shop of the kit's benchmark: a page with a form, a post that redirects, a page. As little server as possible.

`python -m tests.bench.kit_server PORT`. A browser without its cookie gets one; a post without its token gets 403.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

import uvloop

_ROWS = "".join(
    f'<tr class="pool"><td class="name">Block {number}</td><td class="price">{number * 5} EUR</td>'
    f'<td><a href="/block/{number}">map</a></td></tr>\n'
    for number in range(24)
)
_FORM = (
    "<!doctype html><html><head><title>Final</title><link rel=stylesheet href=/s.css></head><body><h1>Final</h1><table>"
    f"{_ROWS}</table><form id=add action=/basket method=post><input type=hidden name=csrf value=t-%s>"
    "<select name=pool><option value=a>A<option value=b>B</select><input name=quantity value=1><button>Add</button>"
    "</form></body></html>"
)
_BASKET = (
    f"<!doctype html><html><head><title>Basket</title></head><body><table>{_ROWS}</table>"
    "<p id=quantity>2</p><form id=buy action=/checkout method=post><input type=hidden name=csrf value=t-%s></form>"
    "</body></html>"
)


def _response(page: str) -> tuple[bytes, ...]:
    """What stands before the cookie, between the cookie and the session's name, and behind the name."""
    before, after = (page % "\0").split("\0")
    length = len(before) + len(after) + len("s000001")
    status = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
    return status.encode(), f"Content-Length: {length}\r\n\r\n{before}".encode(), after.encode()


_FORM_PARTS = _response(_FORM)
_BASKET_PARTS = _response(_BASKET)
_REFUSED = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
_REDIRECT = b"HTTP/1.1 303 See\r\nLocation: /basket\r\nContent-Length: 0\r\n\r\n"


class Shop(asyncio.Protocol):
    """One connection."""

    names = count(1)

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head, found, body = received.partition(b"\r\n\r\n")
        if not found or (head.startswith(b"POST") and len(body) < _length(head)):
            self._received = received
            return
        self._received = b""
        self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        at = head.find(b"sid=")
        name = head[at + 4 : at + 11] if at >= 0 else b"s%06d" % next(self.names)
        if head.startswith(b"POST"):
            return _REDIRECT if b"csrf=t-" + name in body else _REFUSED
        status, before, after = _BASKET_PARTS if head.startswith(b"GET /basket") else _FORM_PARTS
        cookie = b"" if at >= 0 else b"Set-Cookie: sid=" + name + b"; Path=/; HttpOnly\r\n"
        return status + cookie + before + name + after


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b"content-length:")
    return int(lower[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Shop, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
