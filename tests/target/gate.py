"""A TCP relay in the test's own event loop that can be shut: what the fault proxy does, for one connection edge."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from harness.processes.ports import free_ports


class Gate:
    """Relays to `upstream` on loopback. `shut()` refuses connections and cuts those there are."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        (self.port,) = free_ports(1)
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            try:
                await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
            finally:
                there_writer.transport.abort()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._pipes.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@contextlib.asynccontextmanager
async def gate_to(upstream: int) -> AsyncIterator[Gate]:
    gate = Gate(upstream)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.shut()
