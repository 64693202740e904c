"""One proxy: a listener, the connections it carries, and the toxics that each of them gets."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from typing import Final

import msgspec

from chaos.proxy import address
from chaos.proxy.end import End
from chaos.proxy.link import Connection, Toxic
from chaos.proxy.messages import (
    TOXIC_NOT_FOUND,
    ApiError,
    ProxyDocument,
    ProxyInput,
    ToxicInput,
    missing,
    new_toxic,
    toxic_document,
    updated_toxic,
)

_BACKLOG: Final = 4096
_DIAL_TIMEOUT_S: Final = 10.0
_log = logging.getLogger("chaos.proxy")


class ConnectionDocument(msgspec.Struct, frozen=True):
    """One open connection, as the API shows it."""

    client: str
    age_s: float
    upstream_bytes: int
    downstream_bytes: int


class Proxy:
    """A named proxy. Its toxics outlive its listener and its connections."""

    def __init__(self, name: str, listen: str, upstream: str) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self._toxics: list[Toxic] = []
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self._dialling: dict[End, asyncio.Task[None]] = {}

    @classmethod
    def from_input(cls, given: ProxyInput, index: int | None = None) -> Proxy:
        """A proxy that is not started yet."""
        if not given.name:
            raise missing("name", index)
        if not given.upstream:
            raise missing("upstream", index)
        return cls(given.name, given.listen or "", given.upstream)

    def document(self) -> ProxyDocument:
        """As the API shows it."""
        toxics = tuple(toxic_document(toxic) for toxic in self.toxics())
        return ProxyDocument(self.name, self.listen, self.upstream, self.enabled, toxics)

    async def start(self) -> None:
        """Listen. Does nothing when it does already. Raises ApiError when the address cannot be had."""
        if self.enabled:
            return
        bound = await address.bind(self.listen)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: End(self._accepted), sock=bound, backlog=_BACKLOG)
        except OSError as error:
            bound.close()
            raise ApiError(f"listen tcp {self.listen}: {error.strerror}", 500) from error
        self.listen = address.join(*bound.getsockname()[:2])
        self.enabled = True

    def stop(self) -> None:
        """Close the listener and every connection, now."""
        self.enabled = False
        if self._server is not None:
            self._server.close()
            self._server = None
        for client, task in list(self._dialling.items()):
            task.cancel()
            client.cut(rst=False)
        for connection in list(self._connections):
            connection.cut(rst=False)

    async def differs(self, listen: str, upstream: str) -> bool:
        """Whether these addresses are other ones, host names looked up."""
        return await address.resolve(listen) != self.listen or upstream != self.upstream

    async def update(self, given: ProxyInput) -> None:
        """Change what is given. Another address drops every connection."""
        listen = self.listen if given.listen is None else given.listen
        upstream = self.upstream if given.upstream is None else given.upstream
        enabled = self.enabled if given.enabled is None else given.enabled
        if await self.differs(listen, upstream):
            self.stop()
            self.listen, self.upstream = listen, upstream
        if enabled:
            await self.start()
        elif self.enabled:
            self.stop()

    def toxics(self) -> list[Toxic]:
        """Every toxic, those of the upstream direction first."""
        return sorted(self._toxics, key=lambda toxic: toxic.stream != "upstream")

    def toxic(self, name: str) -> Toxic:
        """The toxic of this name. Raises ApiError."""
        for toxic in self._toxics:
            if toxic.name == name:
                return toxic
        raise ApiError(*TOXIC_NOT_FOUND)

    def add_toxic(self, given: ToxicInput) -> Toxic:
        """Put a toxic at the end of its direction, for all connections."""
        toxic = new_toxic(given, {toxic.name for toxic in self._toxics})
        self._toxics.append(toxic)
        for connection in self._connections:
            connection.link(toxic.stream).add(toxic)
        return toxic

    def update_toxic(self, name: str, given: ToxicInput) -> Toxic:
        """Change a toxic's attributes and toxicity; it is rolled again for each connection."""
        toxic = updated_toxic(self.toxic(name), given)
        self._toxics = [toxic if old.name == name else old for old in self._toxics]
        for connection in list(self._connections):
            connection.link(toxic.stream).update(toxic)
        return toxic

    def remove_toxic(self, name: str) -> None:
        """Take a toxic out of every connection."""
        toxic = self.toxic(name)
        self._toxics.remove(toxic)
        for connection in list(self._connections):
            connection.link(toxic.stream).remove(toxic)

    def connections(self) -> list[ConnectionDocument]:
        """The open connections, the oldest first."""
        now_s = time.monotonic()
        return [
            ConnectionDocument(
                connection.client_address,
                round(now_s - connection.opened_s, 3),
                connection.upstream_link.bytes_total,
                connection.downstream_link.bytes_total,
            )
            for connection in sorted(self._open(), key=lambda connection: connection.opened_s)
        ]

    def drop(self, percent: float, *, rst: bool) -> tuple[int, int]:
        """Cut this share of the open connections, chosen at random, rounded half up. Returns (open before, dropped)."""
        candidates = self._open()
        chosen = random.sample(candidates, math.floor(len(candidates) * percent / 100 + 0.5))
        for connection in chosen:
            connection.cut(rst=rst)
        return len(candidates), len(chosen)

    def _open(self) -> list[Connection]:
        return [connection for connection in self._connections if connection.is_open]

    def _accepted(self, client: End) -> None:
        if not self.enabled:
            client.cut(rst=False)
            return
        self._dialling[client] = asyncio.get_running_loop().create_task(self._dial(client))

    async def _dial(self, client: End) -> None:
        """Reach the upstream. Dials run side by side: one that hangs delays no other."""
        upstream = End(lambda _: None)
        try:
            host, port = address.split(self.upstream)
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(_DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: upstream, host or "127.0.0.1", port)
        except (OSError, ValueError, TimeoutError) as error:
            _log.info("proxy %s: cannot reach %s: %s", self.name, self.upstream, error)
            client.close()
        except asyncio.CancelledError:
            upstream.cut(rst=False)
            raise
        else:
            connection = Connection(client, upstream, self._connections.discard)
            self._connections.add(connection)
            connection.start(self._toxics)
        finally:
            del self._dialling[client]
