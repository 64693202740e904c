"""All proxies of a server, by name; what must not be interleaved is done under one lock."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chaos.proxy.messages import PROXY_EXISTS, PROXY_NOT_FOUND, ApiError, ProxyInput
from chaos.proxy.proxy import Proxy


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
        self._lock = asyncio.Lock()

    def all(self) -> list[Proxy]:
        """Every proxy."""
        return list(self._proxies.values())

    def get(self, name: str) -> Proxy:
        """The proxy of this name. Raises ApiError."""
        proxy = self._proxies.get(name)
        if proxy is None:
            raise ApiError(*PROXY_NOT_FOUND)
        return proxy

    async def create(self, given: ProxyInput) -> Proxy:
        """Add a proxy; it is enabled unless told otherwise."""
        proxy = Proxy.from_input(given, strict=self._strict, seed=self._seed)
        async with self._lock:
            if proxy.name in self._proxies:
                raise ApiError(*PROXY_EXISTS)
            if given.enabled is not False:
                await proxy.start()
            self._adopt(proxy)
        return proxy

    async def update(self, name: str, given: ProxyInput) -> Proxy:
        """Change a proxy."""
        async with self._lock:
            proxy = self.get(name)
            await proxy.update(given)
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
        async with self._lock:
            for proxy in self.all():
                await proxy.start()
                for toxic in proxy.toxics():
                    proxy.remove_toxic(toxic.name)
                proxy.cut_stalled()

    async def populate(self, given: Sequence[ProxyInput]) -> list[Proxy]:
        """Add or replace proxies. One with the same addresses stays as it is; others than those given stay too."""
        wanted = [
            Proxy.from_input(entry, index, strict=self._strict, seed=self._seed) for index, entry in enumerate(given)
        ]
        done: list[Proxy] = []
        async with self._lock:
            for proxy, entry in zip(wanted, given, strict=True):
                try:
                    done.append(await self._add_or_replace(proxy, start=entry.enabled is not False))
                except ApiError as error:
                    raise PopulateError(error, done) from error
        return done

    def stop(self) -> None:
        """Stop every proxy."""
        for proxy in self.all():
            proxy.stop()

    async def _add_or_replace(self, proxy: Proxy, *, start: bool) -> Proxy:
        existing = self._proxies.get(proxy.name)
        if existing is not None:
            if not await existing.differs(proxy.listen, proxy.upstream):
                return existing
            existing.stop()
        if start:
            await proxy.start()
        self._adopt(proxy)
        return proxy

    def _adopt(self, proxy: Proxy) -> None:
        if (replaced := self._proxies.get(proxy.name)) is not None:
            replaced.forget_leases()
        self._proxies[proxy.name] = proxy
        proxy.adopted()
