"""Looks up host names in threads of its own, so that a nameserver that never answers delays nothing else.

A look-up cannot be cancelled: whoever waits for it gives up, and the thread ends by itself. Waiters for one name share
one thread; all names share at most `threads_max`. The threads are daemons: the process does not wait for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections import deque
from typing import Final

_THREADS_MAX: Final = 256


class Resolver:
    """Host names to addresses. Belongs to one event loop."""

    def __init__(self, *, threads_max: int = _THREADS_MAX) -> None:
        self._threads_max = threads_max
        self._threads = 0
        self._sought: dict[str, asyncio.Future[tuple[str, ...]]] = {}
        self._waiting: deque[str] = deque()

    async def lookup(self, host: str, within_s: float) -> tuple[str, ...]:
        """The addresses of an ASCII host name, in the resolver's order; none when there is no such host.

        Raises TimeoutError after `within_s` seconds.
        """
        sought = self._sought.get(host)
        if sought is None:
            self._sought[host] = sought = asyncio.get_running_loop().create_future()
            self._waiting.append(host)
            self._start_threads()
        async with asyncio.timeout(within_s):
            return await asyncio.shield(sought)

    def _start_threads(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self._threads < self._threads_max:
            host = self._waiting.popleft()
            self._threads += 1
            try:
                threading.Thread(target=self._work, args=(loop, host), name="lookup", daemon=True).start()
            except RuntimeError:  # the system has no thread left
                self._finish(host, ())

    def _work(self, loop: asyncio.AbstractEventLoop, host: str) -> None:
        """In a thread of its own."""
        found = _addresses(host)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._finish, host, found)

    def _finish(self, host: str, found: tuple[str, ...]) -> None:
        self._threads -= 1
        self._sought.pop(host).set_result(found)
        self._start_threads()


def _addresses(host: str) -> tuple[str, ...]:
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in entries))
