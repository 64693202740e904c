"""The HTTP of the payments client, against servers that say byte for byte what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from target.payments.wire import BODY_BYTES_MAX, HEAD_BYTES_MAX, Answer, MalformedAnswerError, Wire, parse
from tests.target.booth import until

GOOD = b"HTTP/1.1 201 Created\r\nServer: x\r\nContent-Length:  4\r\n\r\nbody"
LAST = GOOD.replace(b"Server: x", b"Connection: close")


class Scripted:
    """A server that gives each request the next of `answers`; after one of them it may close the connection."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.calls: list[asyncio.Task[object] | None] = []
        self.closes_after = -1
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls.append(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answers.pop(0))
                if len(self.requests) == self.closes_after:
                    break
        writer.close()
        self.closed.set()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    @property
    def connections(self) -> int:
        return len(self.calls)


@contextlib.asynccontextmanager
async def wire_to(server: Scripted, path: str = "") -> AsyncIterator[Wire]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    wire = Wire(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{path}")
    try:
        yield wire
    finally:
        wire.close()
        listening.close()
        await asyncio.gather(*filter(None, server.calls))


def run(server: Callable[[], Scripted], use: Callable[[Scripted, Wire], Awaitable[None]]) -> None:
    async def main() -> None:
        made = server()
        async with asyncio.timeout(20), wire_to(made, "/base/") as wire:
            await use(made, wire)

    asyncio.run(main())
    uvloop.run(main())  # what serves; its transports are of another make


def test_one_connection_serves_one_call_after_the_other() -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        assert await wire.ask("POST", "/charges", {"idempotency-key": "k"}, b"{}") == Answer(201, b"body", False)
        assert (await wire.ask("GET", "/healthz", {})).status == 201
        assert server.connections == 1
        first, second = server.requests
        assert first.startswith(b"POST /base/charges HTTP/1.1\r\nhost: 127.0.0.1:")
        assert b"\r\nidempotency-key: k\r\n" in first
        assert first.endswith(b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
        assert second.startswith(b"GET /base/healthz HTTP/1.1\r\n")

    run(lambda: Scripted(GOOD, GOOD), use)


def test_calls_at_once_each_have_a_connection() -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        await asyncio.gather(*(wire.ask("GET", "/", {}) for _ in range(5)))
        assert server.connections == 5

    run(lambda: Scripted(*[GOOD] * 5), use)


def test_a_last_answer_ends_its_connection() -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        assert (await wire.ask("GET", "/", {})).last
        await wire.ask("GET", "/", {})
        assert server.connections == 2

    run(lambda: Scripted(LAST, GOOD), use)


def test_a_connection_that_was_closed_while_idle_is_not_used() -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        server.closes_after = 1
        await wire.ask("GET", "/", {})
        await server.closed.wait()

        async def heard() -> bool:
            return not wire._idle[0].open

        await until(heard)
        assert (await wire.ask("GET", "/", {})).body == b"body"
        assert server.connections == 2

    run(lambda: Scripted(GOOD, GOOD), use)


def test_a_call_that_was_cut_does_not_leave_its_answer_to_the_next() -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.ask("GET", "/", {})  # half of its answer comes
        assert (await wire.ask("GET", "/", {})).body == b"body"
        assert server.connections == 2

    run(lambda: Scripted(GOOD[:-2], GOOD), use)


@pytest.mark.parametrize("said", [b"", GOOD[:20], GOOD[:-1]])
def test_an_answer_that_is_cut_short_is_an_error(said: bytes) -> None:
    async def use(server: Scripted, wire: Wire) -> None:
        server.closes_after = 1
        with pytest.raises(ConnectionError):
            await wire.ask("GET", "/", {})

    run(lambda: Scripted(said), use)


def test_an_answer_comes_in_whatever_pieces() -> None:
    for cut in range(len(GOOD)):
        assert parse(GOOD[:cut]) is None
    assert parse(GOOD) == Answer(201, b"body", False)
    assert parse(GOOD.replace(b"HTTP/1.1", b"HTTP/1.0")) == Answer(201, b"body", True)


@pytest.mark.parametrize(
    "said",
    [
        GOOD + b"x",
        GOOD.replace(b"201", b"abc"),
        GOOD.replace(b"HTTP/1.1", b"SSH-2.0"),
        GOOD.replace(b"Content-Length", b"Content-Langth"),
        GOOD.replace(b"4", b"-4"),
        GOOD.replace(b"4", str(BODY_BYTES_MAX + 1).encode()),
        GOOD.replace(b"Content-Length:  4", b"Transfer-Encoding: chunked"),
        b"x" * (HEAD_BYTES_MAX + 1),
    ],
)
def test_what_is_no_answer_is_refused(said: bytes) -> None:
    with pytest.raises(MalformedAnswerError):
        parse(said)
