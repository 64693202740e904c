"""Ends users, however many there are and however long each takes to clean up."""

from __future__ import annotations

from collections.abc import Iterable

import gevent


def stop(greenlets: Iterable[gevent.Greenlet], silence_s: float) -> int:
    """Kill them and wait until they have ended, or for `silence_s` none of them has; returns how many still live.

    `gevent.killall` with a time-out raises when the time is over, and a crowd can take minutes to close its streams.
    """
    living = list(greenlets)
    gevent.killall(living, block=False)
    before = len(living) + 1
    while living and len(living) < before:
        before = len(living)
        gevent.joinall(living, timeout=silence_s)
        living = [one for one in living if not one.dead]
    return len(living)
