"""All proxies of a server, by name; what must not be interleaved is done under one lock.

Host names are looked up before the lock is taken: one that takes long delays nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from chaos.proxy import address
from chaos.proxy.http.messages import PROXY_EXISTS, PROXY_NOT_FOUND, ApiError, ProxyInput
from chaos.proxy.proxy import Proxy
from chaos.proxy.resolver import Resolver

_PROXIES_AT_ONCE: Final = 20


class PopulateError(ApiError):
    """Populating stopped midway; `done` are those that stand."""

    def __init__(self, cause: ApiError, done: Sequence[Proxy]) -> None:
        super().__init__(cause.message, cause.status)
        self.done = tuple(done)


class Collection:
    """The proxies of one server. `strict` and `seed`: see `Proxy`."""

    def __init__(self, *, strict: bool = True, seed: int | None = None) -> None:
        self._strict = strict
        self._seed = seed
        self._proxies: dict[str, Proxy] = {}
        self._listen_resolver = Resolver()
        self._dial_resolver = Resolver()  # another one: upstreams that cannot be found hold up no change
        self._lock = asyncio.Lock()

    def all(self) -> list[Proxy]:
        """Every proxy, in the order of their names."""
        return [self._proxies[name] for name in sorted(self._proxies)]

    def get(self, name: str) -> Proxy:
        """The proxy of this name. Raises ApiError."""
        proxy = self._proxies.get(name)
        if proxy is None:
            raise ApiError(*PROXY_NOT_FOUND)
        return proxy

    async def create(self, given: ProxyInput) -> Proxy:
        """Add a proxy; it is enabled unless told otherwise."""
        proxy = self._new(given)
        self._expect_absent(proxy.name)
        resolved = await self._resolve([proxy.listen] if given.enabled is not False else [])
        async with self._lock:
            self._expect_absent(proxy.name)
            if given.enabled is not False:
                await proxy.start(resolved)
            self._adopt(proxy)
        return proxy

    async def update(self, name: str, given: ProxyInput) -> Proxy:
        """Change a proxy."""
        listen = self.get(name).listen if given.listen is None else given.listen
        resolved = await self._resolve([listen])
        async with self._lock:
            proxy = self.get(name)
            await proxy.update(given, listen, resolved)
        return proxy

    async def remove(self, name: str) -> None:
        """Stop and forget a proxy."""
        async with self._lock:
            proxy = self.get(name)
            proxy.stop()
            proxy.forget_leases()
            del self._proxies[name]

    async def reset(self) -> None:
        """Enable every proxy and remove every toxic; stops at the first that cannot be enabled."""
        resolved = await self._resolve(proxy.listen for proxy in self.all() if not proxy.enabled)
        async with self._lock:
            for number, proxy in enumerate(self.all()):
                if not proxy.enabled:
                    resolved |= await self._resolve({proxy.listen} - resolved.keys())
                await proxy.start(resolved)
                for toxic in proxy.toxics():
                    proxy.remove_toxic(toxic.name)
                proxy.cut_stalled()
                await _let_others_work(number)

    async def populate(self, given: Sequence[ProxyInput]) -> list[Proxy]:
        """Add or replace proxies. One with the same addresses stays as it is; others than those given stay too."""
        wanted = []
        for index, entry in enumerate(given):
            wanted.append(self._new(entry, index))
            await _let_others_work(index)
        resolved = await self._resolve(proxy.listen for proxy in wanted)
        done: list[Proxy] = []
        async with self._lock:
            for proxy, entry in zip(wanted, given, strict=True):
                try:
                    done.append(await self._add_or_replace(proxy, resolved, start=entry.enabled is not False))
                except ApiError as error:
                    raise PopulateError(error, done) from error
                await _let_others_work(len(done))
        return done

    def stop(self) -> None:
        """Stop every proxy."""
        for proxy in self.all():
            proxy.stop()

    def _new(self, given: ProxyInput, index: int | None = None) -> Proxy:
        return Proxy.from_input(given, index, resolver=self._dial_resolver, strict=self._strict, seed=self._seed)

    def _expect_absent(self, name: str) -> None:
        if name in self._proxies:
            raise ApiError(*PROXY_EXISTS)

    async def _resolve(self, addresses: Iterable[str]) -> address.Resolved:
        """Listen addresses, looked up. A name with an empty label is the request's fault, except in strict mode."""
        wanted = set(addresses)
        if not self._strict and (bad := next(filter(address.has_empty_label, wanted), None)) is not None:
            raise ApiError(f"address {bad}: the host name has an empty label", 400)
        return await address.resolve(wanted, self._listen_resolver)

    async def _add_or_replace(self, proxy: Proxy, resolved: address.Resolved, *, start: bool) -> Proxy:
        existing = self._proxies.get(proxy.name)
        if existing is not None:
            if not existing.differs(proxy.listen, proxy.upstream, resolved):
                return existing
            existing.stop()
        if start:
            await proxy.start(resolved)
        self._adopt(proxy)
        return proxy

    def _adopt(self, proxy: Proxy) -> None:
        if (replaced := self._proxies.get(proxy.name)) is not None:
            replaced.forget_leases()
        self._proxies[proxy.name] = proxy
        proxy.adopted()


async def _let_others_work(number: int) -> None:
    """In a long list of proxies, let the event loop carry the connections' data now and then."""
    if number % _PROXIES_AT_ONCE == 0:
        await asyncio.sleep(0)
