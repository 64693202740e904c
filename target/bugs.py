"""Planted bugs, chosen with TARGET_BUG: each replaces one component by a faulty one where the parts are put together.

They exist so that a rehearsal's checkers can be shown to catch them. No other module asks whether a bug is planted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from target import holds_lua
from target import orders_sql as sql
from target.inventory import Inventory
from target.orders import Checkout, Orders, SeatsOwnedError
from target.redis_store import Script
from target.seat_log import SeatChange, SeatLog
from target.settings import SettingsError

if TYPE_CHECKING:
    from target.context import Context

DROP_EVERY: Final = 50  # seat changes
_FORGET: Final = "UPDATE orders SET unfinished = false WHERE order_id = $1 AND $2::text <> '' RETURNING order_id"
_CREATE_UNOWNED: Final = sql.CREATE.replace("price_cents, true\n", "price_cents, false\n")
_HOLD_ANY: Final = Script(holds_lua.HOLD.source.replace("~= '0' then answer", "== '' then answer"))


def _leave(_context: Context) -> None:
    """Replaces nothing."""


@dataclass(frozen=True)
class Bug:
    """One planted bug. `breaks`: the invariant that it violates. `plant` works on booking and worker."""

    name: str
    description: str
    breaks: str
    plant: Callable[[Context], None] = _leave
    seat_log: type[SeatLog] = SeatLog


class LostAckOrders(Orders):
    """Says that an order is confirmed, takes it off the recovery's list, and never writes the confirmation."""

    async def confirm(self, order_id: str, charge_id: str) -> bool:
        """See the class."""
        return await self._moved(_FORGET, order_id, charge_id)


class CarelessOrders(Orders):
    """Lets a second order have a seat that a live order owns."""

    async def create(self, checkout: Checkout, *, lease_s: float) -> bool:
        """See the class."""
        try:
            return await super().create(checkout, lease_s=lease_s)
        except SeatsOwnedError:
            return await self._insert(_CREATE_UNOWNED, checkout, lease_s)


class ForgetfulSeatLog(SeatLog):
    """Does not tell anybody of a change now and then."""

    def append(self, change: SeatChange) -> tuple[str, ...]:
        """See the class."""
        messages = super().append(change)
        return messages if change.seq % DROP_EVERY else ()


def _lose_acks(context: Context) -> None:
    context.orders = LostAckOrders(context.database, context.settings.event)


def _sell_twice(context: Context) -> None:
    context.orders = CarelessOrders(context.database, context.settings.event)
    careless = holds_lua.LuaSeats(context.redis, context.keys, hold_script=_HOLD_ANY)
    context.inventory = Inventory(
        context.redis, context.keys, context.venue, hold_ttl_s=context.settings.hold_ttl_s, store=careless
    )


NO_BUG: Final = Bug("", "the system as it is meant to be", "")
BUGS: Final = {
    bug.name: bug
    for bug in (
        Bug(
            "lost_ack",
            "orders are acknowledged as confirmed, but the confirmation is never written",
            "no_lost_booking",
            plant=_lose_acks,
        ),
        Bug(
            "double_sell",
            "a hold ignores an existing holder, and the database lets a second order have the seat",
            "no_double_sell",
            plant=_sell_twice,
        ),
        Bug(
            "dropped_event",
            f"the feed leaves out every {DROP_EVERY}th seat change",
            "feed_gap_free",
            seat_log=ForgetfulSeatLog,
        ),
    )
}


def find(name: str) -> Bug:
    """The bug of that name; "" is no bug. Raises `SettingsError` for any other."""
    if not name:
        return NO_BUG
    if name not in BUGS:
        raise SettingsError(f"TARGET_BUG={name!r}: no such bug; known: {', '.join(sorted(BUGS))}")
    return BUGS[name]
