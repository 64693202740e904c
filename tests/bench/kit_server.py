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


class Shop(asyncio.Protocol):
    """One connection."""

    names = count(1)

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data
        head, found, body = received.partition(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"content-length:")
        if not found or (at >= 0 and len(body) < int(lower[at + 15 :].split(b"\r\n", 1)[0])):
            self._received = received
            return
        self._received = b""
        self._transport.write(self._answer(head, body))

    def _answer(self, head: bytes, body: bytes) -> bytes:
        at = head.find(b"sid=")
        cookies = "" if at >= 0 else f"Set-Cookie: sid=s{next(self.names):06d}; Path=/; HttpOnly\r\n"
        name = head[at + 4 : at + 11].decode() if at >= 0 else cookies[16:23]
        if head.startswith(b"POST"):
            if f"csrf=t-{name}".encode() not in body:
                return b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
            return b"HTTP/1.1 303 See\r\nLocation: /basket\r\nContent-Length: 0\r\n\r\n"
        text = (_BASKET if head.startswith(b"GET /basket") else _FORM) % name
        head_lines = f"Content-Type: text/html; charset=utf-8\r\n{cookies}Content-Length: {len(text)}"
        return f"HTTP/1.1 200 OK\r\n{head_lines}\r\n\r\n{text}".encode()


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Shop, "127.0.0.1", port, backlog=1024)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
