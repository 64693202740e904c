"""Ends verbs that hang: one greenlet looks at those that run, as `DeadlineGuard` does for connections.

A timer for each verb, moved on with each request, would cost more than the request's recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

import gevent
from gevent.hub import get_hub

from harness.adapter.browsing.browser import Browser
from harness.adapter.errors import VerbHung

_PERIOD_S: Final = 0.25


class _Watched:
    __slots__ = ("browser", "greenlet")

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.greenlet: gevent.Greenlet | None = gevent.getcurrent()


class VerbGuard:
    """The verbs that run in this process."""

    def __init__(self) -> None:
        self._running: set[_Watched] = set()
        self._greenlet: gevent.Greenlet | None = None

    @contextmanager
    def watching(self, browser: Browser) -> Iterator[None]:
        """`VerbHung` is thrown into the block when the browser's deadline passes."""
        watched = _Watched(browser)
        self._running.add(watched)
        if self._greenlet is None or self._greenlet.dead:
            self._greenlet = gevent.spawn(self._run)
        try:
            yield
        finally:
            watched.greenlet = None
            self._running.discard(watched)

    def _run(self) -> None:
        while self._running:
            gevent.sleep(_PERIOD_S)
            now_s = monotonic()
            for watched in [one for one in self._running if one.browser.deadline_s < now_s]:
                watched.browser.deadline_s = now_s + _PERIOD_S * 4  # for a verb that swallows it
                get_hub().loop.run_callback(_throw, watched)


def _throw(watched: _Watched) -> None:
    if watched.greenlet is not None and not watched.greenlet.dead:
        watched.greenlet.throw(VerbHung("it hung"))


GUARD: Final = VerbGuard()
