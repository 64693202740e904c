"""Grants and sales of seats, as the platform reported them to fans. Several checkers use them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, OrderValue, PayValue, SeatsValue
from harness.audit.orders.agreed import agreed

EXPIRED: Final = "expired"
GONE: Final = (EXPIRED, "conflict")
"""A payment that is refused so is refused because the hold is over, or because somebody else has its seats."""
_DECLINED: Final = "declined"
_CONFIRMED: Final = "confirmed"


class GrantedHold(msgspec.Struct, frozen=True, gc=False):
    """One granted hold. `t_over_s`: invocation + TTL; a platform that starts the clock later keeps the seats longer.

    `t_given_up_s`: since when the fan may have given them up.
    """

    hold: Operation[SeatsValue]
    t_over_s: float
    t_given_up_s: float

    @property
    def t_until_s(self) -> float:
        """Until when the fan may count on the seats."""
        return min(self.t_over_s, self.t_given_up_s)

    @property
    def told_in_time(self) -> bool:
        """The fan heard of the hold before its time was over."""
        return self.t_until_s > self.hold.t_end_s

    def granted(self, seats: str) -> str:
        """It in words."""
        hold = self.hold
        return f"{hold.actor} was granted {seats} for {hold.value.ttl_s:g} s, asked at {hold.t_invoke_s:.3f} s"


class Sale(msgspec.Struct, frozen=True, gc=False):
    """A fan was told at `told.t_end_s` that seats are theirs. `hold_id`: what was paid, "" where nobody knows."""

    told: Operation[PayValue] | Operation[OrderValue]
    order: str
    seats: tuple[str, ...]
    hold_id: str = ""

    @property
    def words(self) -> str:
        """It in words."""
        return f"{self.told.actor} was told that {', '.join(self.seats)} is sold to them"


def promises(evidence: Evidence) -> list[GrantedHold]:
    """Every granted hold that tells its time to live, by the time of its ack. Several checkers share it."""
    return evidence.once("granted holds", lambda: _promises(evidence))


def _promises(evidence: Evidence) -> list[GrantedHold]:
    given_up: dict[str, float] = {}
    for hold_id, t_s in _given_up(evidence):
        given_up[hold_id] = min(t_s, given_up.get(hold_id, t_s))
    found = []
    for hold in map(evidence.timed, evidence.holds.ok):
        ttl_s = hold.value.ttl_s
        if ttl_s is not None:
            t_given_up_s = given_up.get(hold.key, float("inf"))
            found.append(GrantedHold(hold, hold.t_invoke_s + ttl_s, t_given_up_s))
    return sorted(found, key=lambda promise: promise.hold.t_end_s)


def sales(evidence: Evidence) -> Iterator[Sale]:
    """Every time a fan was told that seats are sold to them, unless the export says that the order came to nothing.

    A sale that the export has no order of still stands here: the fan counts on what they were told.
    """
    hold_of: dict[str, str] = {}  # order → the hold that was paid
    for pay in evidence.pays:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        name = order.order_id if order else pay.value.order_id or pay.key
        hold_of.setdefault(name, pay.value.hold_id)
        if pay.ok and pay.value.state == _CONFIRMED and _stands(order):
            yield Sale(pay, name, pay.value.seats, pay.value.hold_id)
    for look in evidence.lookups.ok:
        if look.value.state == _CONFIRMED and _stands(evidence.order_of(look.key, "")):
            yield Sale(look, look.key, look.value.seats, hold_of.get(look.key, ""))


def _stands(order: Order | None) -> bool:
    return order is None or order.state == _CONFIRMED


def _given_up(evidence: Evidence) -> Iterator[tuple[str, float]]:
    """(hold id, since when) for everything that may have given a hold's seats back.

    A payment may have, whose order did not become the fan's: declined, expired, refunded, or nobody knows. A payment
    that was refused for another reason leaves the hold as it is.
    """
    for release in evidence.releases:
        if release.ok or release.unknown:
            yield release.key, release.t_invoke_s
    bought = _bought_keys(evidence)
    for pay in agreed(evidence).odd_pays:
        if pay.key in bought:
            continue
        if told_gone_without_an_order(evidence, pay):
            yield pay.value.hold_id, pay.t_end_s
        elif pay.ok or pay.unknown or pay.error in (_DECLINED, EXPIRED):
            yield pay.value.hold_id, pay.t_invoke_s


def told_gone_without_an_order(evidence: Evidence, pay: Operation[PayValue]) -> bool:
    """A fan who pays is told that the hold is gone, or that somebody else has its seats, and no order of that payment
    ever was: so it ended by itself."""
    told = pay.error in GONE and not evidence.keeps_nothing and evidence.record.has("final_orders")
    return told and evidence.order_of("", pay.key, pay.actor) is None


def _bought_keys(evidence: Evidence) -> set[str]:
    """Idempotency keys of payments that ended with a confirmed order: by the export, else by what fans were told.

    Those of payments that agree with the export are here only if another payment has them too.
    """
    keys: dict[str, set[str]] = {}  # order id → keys that it was answered to
    found = agreed(evidence)
    as_ordered = evidence.pays.where(found.pays)
    bought = set(as_ordered.of_keys(found.odd_pays.keys.to_pylist()).keys.to_pylist())
    for pay in found.odd_pays:
        order = evidence.order_of(pay.value.order_id, pay.key, pay.actor)
        if order is not None:
            bought |= {pay.key} if order.state == _CONFIRMED else set()
        elif pay.ok and pay.value.state == _CONFIRMED:
            bought.add(pay.key)
        elif pay.ok:
            keys.setdefault(pay.value.order_id, set()).add(pay.key)
    for look in found.odd_looks if keys else ():
        if look.value.state == _CONFIRMED and evidence.order_of(look.key, "") is None:
            bought |= keys.get(look.key, set())
    return bought


class FirstSales:
    """Of each seat the sale that was told first, and the first one to another fan."""

    def __init__(self, evidence: Evidence) -> None:
        self._of: dict[str, tuple[Sale, Sale | None]] = {}
        orders: set[str] = set()
        for sale in sorted(sales(evidence), key=lambda sale: sale.told.t_end_s):
            for seat in sale.seats if sale.order not in orders else ():
                first, other = self._of.setdefault(seat, (sale, None))
                if other is None and first.told.actor != sale.told.actor:
                    self._of[seat] = first, sale
            orders.add(sale.order)

    def __contains__(self, seat: str) -> bool:
        return seat in self._of

    def of(self, seat: str) -> Sale | None:
        """The first sale of the seat."""
        return self._of[seat][0] if seat in self._of else None

    def to_another(self, seat: str, hold: Operation[SeatsValue]) -> Sale | None:
        """The first sale of the seat to another fan than who holds it, and not of that very hold."""
        sale, other = self._of.get(seat, (None, None))
        if sale is not None and (sale.told.actor == hold.actor or sale.hold_id == hold.key):
            sale = other
        return sale
