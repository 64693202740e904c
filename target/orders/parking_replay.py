"""The booking process's job that makes the checkouts of its journal durable, even when Redis lost them."""

from __future__ import annotations

import logging
from typing import Final

from target.orders.checkouts import Checkouts
from target.runtime.breakers import UnavailableError

REPLAY_PERIOD_S: Final = 0.5

_log = logging.getLogger(__name__)


class JournalReplay:
    """One event's journal. The worker unparks the checkouts in Redis at the same time; the second of the two changes
    nothing.
    """

    def __init__(self, checkouts: Checkouts) -> None:
        self._orders = checkouts.orders
        self._saga = checkouts.saga
        self._parking = checkouts.parking

    async def replay(self) -> None:
        """One round. Raises `UnavailableError` when Redis is away, with the primary or after it is done."""
        waiting = self._parking.journal.all()
        if not waiting:
            return
        redis_away: UnavailableError | None = None
        for checkout in waiting:
            try:
                await self._saga.unpark(checkout)
            except UnavailableError as error:
                if error.dependency == "db":
                    await self._parking.park_again()
                    return
                redis_away = error  # the order is durable, and that is enough
        _log.info("%d parked checkouts came home from the journal", len(waiting))
        if redis_away is not None:
            raise redis_away
