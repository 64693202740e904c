"""Finds the answers that agree with the order export in everything. They are counted, not walked through.

In most sales nearly every payment is answered with a confirmed order that the export has with the same fan, key, seats
and amount, and nearly every look at an order shows the same. No checker can find anything wrong with such an answer, so
the checkers walk through the others only.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import Operations, OrderValue, PayValue, clamped
from harness.record.schema import Outcome

_CONFIRMED: Final = "confirmed"
_BETWEEN: Final = "\x1f"
_NO_ORDER: Final = -1
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Agreed:
    """Which payments, and which look-ups that were answered, agree with the export in everything.

    `order_of_pay`: the number of each payment's order in the export, see `Evidence.order_of`; −1: it has none.
    `ids_of_pays`: its id; null: it has none. `seats_told`: how many seats were told with what agrees, each time anew.
    """

    pays: Bools
    looks: Bools
    order_of_pay: Ints
    ids_of_pays: pa.Array
    seats_told: int
    odd_pays: Operations[PayValue]
    odd_looks: Operations[OrderValue]


def agreed(evidence: Evidence) -> Agreed:
    """What agrees. Asked for again it is not compared again."""
    return evidence.once("agreed", lambda: _agreed(evidence))


def confirmed(answers: Operations[PayValue] | Operations[OrderValue]) -> int:
    """How many of these told that an order is confirmed."""
    return int(np.count_nonzero(_equal(answers.column("state"), pa.scalar(_CONFIRMED))))


def _agreed(evidence: Evidence) -> Agreed:
    exported = _Exported(evidence)
    pays, looks = evidence.pays, evidence.lookups.ok
    by_id, by_key = exported.by_id(pays.column("order_id")), exported.by_key(pays.keys)
    of_pay = np.where(_equal(pays.column("order_id"), pa.scalar("")), by_key, by_id)
    of_look = exported.by_id(looks.keys)
    pays_agree = exported.agree(pays, of_pay) & (of_pay == by_key) & pc.is_null(pays.column("bought")).to_numpy(False)
    pays_agree &= pays.outcomes(Outcome.OK)
    looks_agree = exported.agree(looks, of_look) & ~looks.column("stale").to_numpy(False)
    seats_told = sum(
        int(pc.list_value_length(one.column("seats")).to_numpy()[agree].sum())
        for one, agree in ((pays, pays_agree), (looks, looks_agree))
    )
    odd = pays.where(~pays_agree), looks.where(~looks_agree)
    ids = exported.ids.take(pa.array(of_pay, mask=of_pay < 0))
    return Agreed(pays_agree, looks_agree, of_pay, ids, seats_told, *odd)


class _Exported:
    """The orders of the export, a column for each property, by their number."""

    def __init__(self, evidence: Evidence) -> None:
        orders = evidence.orders.values()
        self.ids = pa.array(evidence.orders.keys(), pa.string())
        self._fans = pa.array([order.fan for order in orders], pa.string())
        self._seats = pa.array([_BETWEEN.join(order.seats) for order in orders], pa.string())
        self._seat_counts = pa.array([len(order.seats) for order in orders], pa.int32())
        self._cents = pa.array([order.amount_cents for order in orders], pa.int64())
        keys = {order.idempotency_key: at for at, order in enumerate(orders)}  # of two with one key the last counts
        self._keys, self._at = pa.array(keys.keys(), pa.string()), np.fromiter(keys.values(), np.int64, len(keys))
        plain = [o.state == _CONFIRMED and not (o.pools or o.repeated) for o in orders]
        self._plain = np.array(plain, dtype=np.bool_)

    def by_id(self, ids: pa.Array) -> Ints:
        """The number of the order of each id."""
        return np.where(_equal(ids, pa.scalar("")), _NO_ORDER, _found(ids, self.ids))

    def by_key(self, keys: pa.Array) -> Ints:
        """The number of the order of each idempotency key."""
        at = _found(keys, self._keys)
        return np.where(at >= 0, self._at[at], _NO_ORDER) if len(self._at) else at

    def agree(self, answers: Operations[PayValue] | Operations[OrderValue], orders: Ints) -> Bools:
        """Whether each answer tells that the order of that number is confirmed, as the export has it."""
        told: Bools = (orders >= 0) & _equal(answers.column("state"), pa.scalar(_CONFIRMED))
        if not len(self._plain):
            return told
        at = pa.array(orders, mask=orders < 0)
        told &= self._plain[orders] & _equal(answers.actors, self._fans.take(at))
        told &= _equal(pc.list_value_length(answers.column("seats")), self._seat_counts.take(at))
        told &= _equal(pc.binary_join(answers.column("seats"), _BETWEEN), self._seats.take(at))
        told &= _equal(answers.column("pool"), pa.scalar("")) & _equal(answers.column("quantity"), pa.scalar(0))
        cents = answers.column("amount_cents")
        told &= pc.is_null(cents).to_numpy(False) | _equal(cents, self._cents.take(at))
        told &= ~_equal(cents, pa.scalar(clamped(sys.maxsize), pa.int64()))  # which may stand for a greater number
        return told


def _found(names: pa.Array, known: pa.Array) -> Ints:
    at: Ints = pc.fill_null(pc.index_in(names, known), _NO_ORDER).to_numpy().astype(np.int64)
    return at


def _equal(left: pa.Array, right: pa.Array | pa.Scalar) -> Bools:
    same: Bools = pc.fill_null(pc.equal(left, right), False).to_numpy(False)
    return same
