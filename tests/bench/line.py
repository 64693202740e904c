"""One keep-alive connection and no more client than that, so that the platform is what is measured."""

from __future__ import annotations

import asyncio

import msgspec


class Line:
    """One request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, request: bytes, *, status: str = "20") -> bytes:
        """The body of the answer, whose status must begin with `status`."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        assert head.startswith(f"HTTP/1.1 {status}".encode()), (head, body)
        return body

    def close(self) -> None:
        """Drops it."""
        self._writer.close()


def post(path: str, document: dict[str, object], **headers: str) -> bytes:
    """A request with a JSON body; `_` in a header's name stands for `-`."""
    body = msgspec.json.encode(document)
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {path} HTTP/1.1\r\nhost: bench\r\n{fields}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    ).encode() + body
