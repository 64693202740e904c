"""What fans were told of their orders, and which of it contradicts what they were told before or what is so at rest.

A fan is told yes (confirmed), no (declined, expired, refunded) or not yet (pending), by the answer to a payment or by a
look-up. Yes and no are final:

    after yes    nothing but yes. No verb of a platform gives a ticket back at the fan's wish, so a refund is no excuse.
    after no     any no: expired may become refunded, no ticket comes of either. Yes only if the fan asked again.
    at rest      the order export is the last word.

A look-up that is marked stale says itself that it may be behind, and a payment that is posted again may be answered
"in progress": "pending" is then no contradiction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence, Order
from harness.audit.operations import Operation, OrderValue, PayValue
from harness.audit.orders.agreed import agreed
from harness.audit.tally import Moment, at_rest, during

YES: Final = "confirmed"
NO: Final = frozenset({"declined", "expired", "refunded"})
_NO: Final = "no"
_REFUSED: Final = "refused"
_REFUSALS: Final = ("declined", "expired")
_NEVER: Final = float("inf")

Telling = Operation[PayValue] | Operation[OrderValue]


class Word(msgspec.Struct, frozen=True, gc=False):
    """A fan was told how an order stands. `order`: what to call it. `key`: its idempotency key, "" in a look-up."""

    operation: Telling
    order: str
    state: str
    order_id: str
    key: str
    stale: bool = False

    @property
    def contradicts_other(self) -> bool:
        """Whether it cannot follow the other final word: yes after no; no, or an unmarked "pending", after yes."""
        return self.state in (YES, *NO) or (self.state == "pending" and not (self.stale or self.key))

    def moment(self) -> Moment:
        """It as a step of a history."""
        return during(self.operation, f"{self.operation.actor} was told that order {self.order} is {self.state}")


class Contradiction(msgspec.Struct, frozen=True):
    """Two words on one order that cannot both be true, the earlier one first. `later`: a word, or the order at rest."""

    earlier: Word
    later: Word | Order

    @property
    def summary(self) -> str:
        """In one sentence."""
        first = self.earlier
        told = f"{first.operation.actor} was told that order {first.order} is {first.state}"
        if isinstance(self.later, Order):
            return f"{told}, but it is {self.later.state} at rest"
        return f"{told}, and later that it is {self.later.state}"

    def moments(self) -> tuple[Moment, Moment]:
        """The two steps."""
        return self.earlier.moment(), exported(self.later) if isinstance(self.later, Order) else self.later.moment()


def exported(order: Order) -> Moment:
    """An order of the export as a step of a history."""
    return at_rest("order export", f"order {order.order_id} of {order.fan} is {order.state} for {order.words}")


def refusals(evidence: Evidence, *, or_taken_back: bool = False) -> Iterator[Word]:
    """Every definite no to a payment that the fan did not ask for again under the same key.

    Declined and expired are words on the purchase: only a try that was begun afterwards takes them back, and with
    `or_taken_back` those are given too. Any other refusal is one of the request: any other try of the key may have
    gone through.
    """
    failed = evidence.pays.failed
    last_try_s = _last_tries(evidence, set(failed.keys.to_pylist()))
    for pay in failed:
        about_purchase = pay.error in _REFUSALS
        tried_s = last_try_s.get(pay.key, -_NEVER)
        since_s = pay.t_end_s if about_purchase else -_NEVER
        if tried_s > since_s and not (about_purchase and or_taken_back):
            continue
        state = pay.error if about_purchase else _REFUSED
        yield Word(pay, name_of(evidence, pay, ""), state, "", pay.key)


def answers(evidence: Evidence, about: Collection[str]) -> Iterator[Word]:
    """Every yes, no and not yet that came with an order; of those that agree with the order export only what is about
    one of these orders.
    """
    found = agreed(evidence)
    pays = evidence.pays.where(~found.pays | _is_in(found.ids_of_pays, about))
    looks = evidence.lookups.ok
    looks = looks.where(~found.looks | _is_in(looks.keys, about))
    for pay in pays.ok:
        order_id = pay.value.order_id
        yield Word(pay, name_of(evidence, pay, order_id), pay.value.state, order_id, pay.key)
    for look in looks:
        yield Word(look, look.key, look.value.state, look.key, "", look.value.stale)


def words(evidence: Evidence, about: Collection[str]) -> Iterator[Word]:
    """Answers, and every refusal, also those that the fan did not leave it at: after a yes there is no no at all."""
    yield from answers(evidence, about)
    yield from refusals(evidence, or_taken_back=True)


def contradictions(evidence: Evidence) -> Iterator[Contradiction]:
    """For each order the first two words that contradict each other, or the first no that is a yes at rest.

    A yes that is none at rest is a lost booking, which `no_lost_booking` tells with its seats.
    """
    margin_s = evidence.clock_margin_s
    doubted = _not_only_confirmed(evidence)
    firsts = _firsts(evidence, doubted)
    found: dict[str, Contradiction] = {}
    for word in words(evidence, doubted) if firsts[YES] or firsts[_NO] else ():
        earlier = firsts[_NO if word.state == YES else YES].get(word.order)
        if earlier and word.contradicts_other and _end(earlier) + margin_s < word.operation.t_invoke_s:
            found.setdefault(word.order, Contradiction(earlier, word))
    for name, word in (firsts[_REFUSED] | firsts[_NO]).items():
        order = evidence.order_of(word.order_id, word.key, word.operation.actor)
        if order and order.state in (YES, "mixed"):
            found.setdefault(name, Contradiction(word, order))
    yield from found.values()


def _firsts(evidence: Evidence, orders: set[str]) -> dict[str, dict[str, Word]]:
    """By kind of word, for each of these orders the first that no later try of its fan takes back."""
    asked_s = _asked(evidence, orders)
    firsts: dict[str, dict[str, Word]] = {YES: {}, _NO: {}, _REFUSED: {}}
    for word in words(evidence, orders) if orders else ():
        first = firsts.get(_NO if word.state in NO else word.state)
        if first is None or word.order not in orders:
            continue
        taken_back = first is firsts[_NO] and asked_s.get(word.order, -_NEVER) > _end(word)
        if not taken_back and _end(word) < _end(first.get(word.order)):
            first[word.order] = word
    return firsts


def name_of(evidence: Evidence, pay: Operation[PayValue], order_id: str) -> str:
    """What to call the order of a payment: its id, where anybody gives one."""
    order = evidence.order_of(order_id, pay.key, pay.actor)
    return order.order_id if order else order_id or f"of key {pay.key}"


def _not_only_confirmed(evidence: Evidence) -> set[str]:
    """The orders of which anything else was said than that they are confirmed."""
    named = {name_of(evidence, pay, pay.value.order_id) for pay in evidence.pays.ok.lacking(f'"{YES}"')}
    named |= {look.key for look in evidence.lookups.ok.lacking(f'"{YES}"')}
    return named | {word.order for word in refusals(evidence, or_taken_back=True)}


def _asked(evidence: Evidence, orders: set[str]) -> dict[str, float]:
    """Order → when its fan last began to pay for it, of payments that did or may have gone through."""
    asked_s: dict[str, float] = {}
    for pays in (evidence.pays.ok, evidence.pays.doubtful) if orders else ():
        for pay in pays:
            name = name_of(evidence, pay, pay.value.order_id)
            if name in orders:
                asked_s[name] = max(pay.t_invoke_s, asked_s.get(name, -_NEVER))
    return asked_s


def _is_in(names: pa.Array, wanted: Collection[str]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = pc.is_in(names, value_set=pa.array(wanted, pa.string())).to_numpy(False)
    return found


def _end(word: Word | None) -> float:
    return _NEVER if word is None else word.operation.t_end_s


def _last_tries(evidence: Evidence, keys: set[str]) -> dict[str, float]:
    """Key → when the last payment under it began that did or may have reached the platform and was not refused."""
    last: dict[str, float] = {}
    for pay in evidence.pays.of_keys(sorted(keys)) if keys else ():
        if pay.ok or pay.unknown:
            last[pay.key] = pay.t_invoke_s  # they come by the time of invocation
    return last
