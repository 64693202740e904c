"""Leases of toxics: whoever set one must renew it, or it is removed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from chaos.proxy.link import Toxic


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
