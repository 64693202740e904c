"""One proxy: its listener, its connections, their toxics, the leases of these toxics, and the counts of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from chaos.proxy import address
from chaos.proxy.end import SocketEnd
from chaos.proxy.http.messages import (
    STREAMS,
    TOXIC_NOT_FOUND,
    ApiError,
    DropMode,
    ProxyDocument,
    ProxyInput,
    ToxicChange,
    ToxicInput,
    ToxicProxyInput,
    missing,
    new_toxic,
    new_toxics,
    toxic_document,
    updated_toxic,
)
from chaos.proxy.link import Link, ProxiedConnection, Toxic
from chaos.proxy.resolver import Resolver


class ConnectionDocument(msgspec.Struct, frozen=True):
    """One open connection, as the API shows it. `stalled`: a drop made it carry nothing any more."""

    client: str
    age_s: float
    upstream_bytes: int
    downstream_bytes: int
    stalled: bool


def connection_document(connection: ProxiedConnection, now_s: float) -> ConnectionDocument:
    """As the API shows it at `now_s` (monotonic)."""
    return ConnectionDocument(
        connection.client_address,
        round(now_s - connection.opened_s, 3),
        connection.upstream_link.bytes_total,
        connection.downstream_link.bytes_total,
        connection.stalled,
    )


class Traffic:
    """What went through a proxy in one direction, in bytes."""

    def __init__(self, received_bytes: int = 0, sent_bytes: int = 0) -> None:
        self.received_bytes = received_bytes
        self.sent_bytes = sent_bytes

    def add(self, link: Link) -> None:
        """Count a link's bytes in."""
        self.received_bytes += link.bytes_total
        self.sent_bytes += link.sent_bytes


class Leases:
    """The leases of one proxy's toxics, by name; `expired` is called with the name of a toxic whose lease ran out."""

    def __init__(self, expired: Callable[[str], None]) -> None:
        self.expired_total = 0
        self._expired = expired
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def watch(self, toxic: Toxic) -> None:
        """Follow the lease that this toxic has now, if any."""
        self.forget(toxic.name)
        if toxic.lease is not None:
            left_s = max(0.0, toxic.lease.ends_s - time.monotonic())
            self._timers[toxic.name] = asyncio.get_running_loop().call_later(left_s, self._expire, toxic.name)

    def forget(self, name: str) -> None:
        """The toxic is gone."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def forget_all(self) -> None:
        """The proxy is gone."""
        for name in list(self._timers):
            self.forget(name)

    def _expire(self, name: str) -> None:
        del self._timers[name]
        self.expired_total += 1
        self._expired(name)


_BACKLOG: Final = 4096
_DIAL_TIMEOUT_S: Final = 10.0
_log = logging.getLogger("chaos.proxy")


class Proxy:
    """A named proxy. Its toxics outlive its listener and its connections.

    `seed`: every draw of a connection, by its number, follows from it; None: chance. `strict`: as Toxiproxy, even
    where it harms connections that nothing was done to.
    """

    def __init__(
        self, name: str, listen: str, upstream: str, *, resolver: Resolver, strict: bool = True, seed: int | None = None
    ) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.enabled = False
        self.connections_total = 0
        self.dropped: Counter[str] = Counter()
        self._resolver = resolver
        self._strict = strict
        self._seed = None if seed is None else f"{seed}/{name}"
        self._drop_chance = random.Random(None if seed is None else f"{seed}/{name}/drop")
        self._past = {stream: Traffic() for stream in STREAMS}
        self._leases = Leases(self._lease_expired)
        self._toxics: list[Toxic] = []
        self._server: asyncio.Server | None = None
        self._connections: set[ProxiedConnection] = set()
        self._dialling: dict[SocketEnd, asyncio.Task[None]] = {}

    @classmethod
    def from_input(
        cls,
        given: ProxyInput,
        index: int | None = None,
        *,
        resolver: Resolver,
        strict: bool = True,
        seed: int | None = None,
    ) -> Proxy:
        """A proxy that is not started yet; the leases of its toxics begin with its start."""
        if not given.name:
            raise missing("name", index)
        if not given.upstream:
            raise missing("upstream", index)
        proxy = cls(given.name, given.listen or "", given.upstream, resolver=resolver, strict=strict, seed=seed)
        if isinstance(given, ToxicProxyInput):
            proxy._toxics = new_toxics(given.toxics or ())
        return proxy

    def adopted(self) -> None:
        """It is one of the server's from now on: let its leases run."""
        for toxic in self._toxics:
            self._leases.watch(toxic)

    def document(self) -> ProxyDocument:
        """As the API shows it."""
        toxics = tuple(toxic_document(toxic) for toxic in self.toxics())
        return ProxyDocument(self.name, self.listen, self.upstream, self.enabled, toxics)

    async def start(self, resolved: address.Resolved) -> None:
        """Listen. Does nothing when it does already. Raises ApiError when the address cannot be had."""
        if self.enabled:
            return
        try:
            endpoint = address.found(resolved, self.listen)
        except ApiError as error:
            raise ApiError(f"listen tcp: {error.message}", error.status) from error
        bound = address.bind(endpoint)
        try:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: SocketEnd(self._accepted), sock=bound, backlog=_BACKLOG)
        except OSError as error:
            bound.close()
            raise ApiError(f"listen tcp {endpoint}: {(error.strerror or str(error)).lower()}", 500) from error
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
        self._dialling.clear()
        for connection in list(self._connections):
            connection.cut(rst=False)

    def differs(self, listen: str, upstream: str, resolved: address.Resolved) -> bool:
        """Whether these addresses are other ones, host names looked up. Raises ApiError."""
        return str(address.found(resolved, listen)) != self.listen or upstream != self.upstream

    async def update(self, given: ProxyInput, listen: str, resolved: address.Resolved) -> None:
        """Change what is given, and listen at `listen`. Another address drops every connection."""
        upstream = self.upstream if given.upstream is None else given.upstream
        enabled = self.enabled if given.enabled is None else given.enabled
        endpoint = address.found(resolved, listen)
        if self.differs(listen, upstream, resolved):
            self.stop()
            self.listen, self.upstream = listen, upstream
        if enabled:
            await self.start({self.listen: endpoint})
        elif self.enabled:
            self.stop()

    def toxics(self) -> list[Toxic]:
        """Every toxic, those of the upstream direction first."""
        return sorted(self._toxics, key=lambda toxic: toxic.direction != "upstream")

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
        self._leases.watch(toxic)
        for connection in self._connections:
            connection.link(toxic.direction).add(toxic)
        return toxic

    def update_toxic(self, name: str, given: ToxicChange) -> Toxic:
        """Change a toxic's attributes and toxicity; it is rolled again for each connection."""
        toxic = updated_toxic(self.toxic(name), given)
        self._leases.watch(toxic)
        self._toxics = [toxic if old.name == name else old for old in self._toxics]
        if given.toxicity is None and given.attributes is None and not self._strict:
            return toxic  # a lease was renewed: nothing is rolled again
        for connection in list(self._connections):
            connection.link(toxic.direction).update(toxic)
        return toxic

    def remove_toxic(self, name: str) -> None:
        """Take a toxic out of every connection."""
        toxic = self.toxic(name)
        self._toxics.remove(toxic)
        self._leases.forget(name)
        for connection in list(self._connections):
            connection.link(toxic.direction).remove(toxic, strict=self._strict)

    def cut_stalled(self) -> None:
        """Close what a drop stalled: it has lost data and cannot be whole again."""
        for connection in list(self._connections):
            if connection.stalled:
                connection.cut(rst=True)

    def forget_leases(self) -> None:
        """The proxy is no longer one of the server's."""
        self._leases.forget_all()

    def connections(self) -> list[ConnectionDocument]:
        """The open connections, the oldest first."""
        now_s = time.monotonic()
        return [connection_document(connection, now_s) for connection in self._open()]

    def traffic(self, stream: str) -> Traffic:
        """The bytes of one direction since the proxy exists."""
        past = self._past[stream]
        total = Traffic(past.received_bytes, past.sent_bytes)
        for connection in self._connections:
            total.add(connection.link(stream))
        return total

    @property
    def connections_open(self) -> int:
        """How many connections are open now."""
        return len(self._open())

    @property
    def connections_stalled(self) -> int:
        """How many of the open connections were stalled."""
        return sum(connection.stalled for connection in self._open())

    @property
    def leases_expired(self) -> int:
        """How many toxics were removed because their lease ran out."""
        return self._leases.expired_total

    def drop(self, percent: float, mode: DropMode) -> tuple[int, int]:
        """Drop this share of the open connections, chosen at random, rounded half up. Returns (open before, dropped).

        One that is stalled was dropped before: it does not count.
        """
        candidates = [connection for connection in self._open() if not connection.stalled]
        chosen = self._drop_chance.sample(candidates, math.floor(len(candidates) * percent / 100 + 0.5))
        for connection in chosen:
            if mode == "stall":
                connection.stall()
            else:
                connection.cut(rst=mode == "rst")
        self.dropped[mode] += len(chosen)
        return len(candidates), len(chosen)

    def _open(self) -> list[ProxiedConnection]:
        """The oldest first."""
        return sorted((each for each in self._connections if each.is_open), key=lambda each: each.number)

    def _lease_expired(self, name: str) -> None:
        _log.warning("proxy %s: the lease of the toxic %s has run out: it is removed", self.name, name)
        self.remove_toxic(name)

    def _lost(self, connection: ProxiedConnection) -> None:
        self._connections.discard(connection)
        for stream in STREAMS:
            self._past[stream].add(connection.link(stream))

    def _accepted(self, client: SocketEnd) -> None:
        if not self.enabled:
            client.cut(rst=False)
            return
        self.connections_total += 1
        loop = asyncio.get_running_loop()
        self._dialling[client] = task = loop.create_task(self._dial(client, self.connections_total))
        timer = loop.call_later(_DIAL_TIMEOUT_S, task.cancel)  # lighter than asyncio.timeout: a dial is a hot path
        task.add_done_callback(lambda _: timer.cancel())

    async def _dial(self, client: SocketEnd, number: int) -> None:
        """Reach the upstream. Dials run side by side: one that hangs delays no other, and is cancelled in the end."""
        try:
            upstream = await self._reach()
        except (OSError, ValueError) as error:
            _log.info("proxy %s: cannot reach %s: %s", self.name, self.upstream, error)
            client.close()
        except asyncio.CancelledError:
            _log.info("proxy %s: gave up on %s", self.name, self.upstream)
            client.close()
            raise
        else:
            seed = None if self._seed is None else f"{self._seed}/{number}"
            connection = ProxiedConnection(client, upstream, self._lost, number=number, seed=seed)
            self._connections.add(connection)
            connection.start(self._toxics)
        finally:
            self._dialling.pop(client, None)

    async def _reach(self) -> SocketEnd:
        """Connect to the first of the upstream's addresses that answers. Raises OSError, ValueError, TimeoutError."""
        found = await address.endpoints(self.upstream, self._resolver)
        for endpoint in found[:-1]:
            with contextlib.suppress(OSError):  # a time-out is one of them
                async with asyncio.timeout(_DIAL_TIMEOUT_S / len(found)):
                    return await _connect(endpoint)
        return await _connect(found[-1])


async def _connect(endpoint: address.ResolvedAddress) -> SocketEnd:
    end = SocketEnd(lambda _: None)
    try:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: end, endpoint.host, endpoint.port)
    except asyncio.CancelledError:
        end.cut(rst=False)
        raise
    address.keep_alive(transport.get_extra_info("socket"))
    return end
