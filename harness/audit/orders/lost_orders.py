"""Checks `no_lost_order`: every acknowledged order reaches an end that its fan and the operator's export can read."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Evidence
from harness.audit.operations import Operation, Operations, OrderValue, PayValue
from harness.audit.orders.agreed import agreed
from harness.audit.orders.told import answers
from harness.audit.spec import specified
from harness.audit.tally import Moment, Tally, at_rest, during

_SETTLE: Final = "settle"
_MISSING: Final = "missing"
_OPEN: Final = ("pending", "mixed")


def no_lost_order(evidence: Evidence) -> Tally:
    """Each acknowledged order, pending and parked ones too, is at an end at rest, in the export and for its fan.

    Acknowledged are orders that the platform answered a payment with (known by their idempotency key where it gave no
    id) and orders that a fan was shown. The bound is the settling time of the run: whoever says by then that nothing is
    pending has brought every order to its end. What a fan can read is the look-up after settling, in the fan's name.
    """
    tally = Tally(evidence, unknowns=evidence.pays.unknowns)
    if not evidence.record.has("final_orders"):
        tally.note = "the order export could not be read at rest"
        return tally
    answered = evidence.pays.ok
    tally.chances = tally.checked = len(pc.unique(answered.keys))
    pending = len(pc.unique(answered.lacking('"confirmed"').keys))
    final = evidence.lookups.since(_settling_s(evidence))
    unreadable = _unreadable(evidence, final)
    _not_in_export(evidence, unreadable, tally)
    for order_id, look in unreadable.items():
        seen = _seen(look)
        tally.violated(f"order {order_id} of {look.actor} {_as_exported(evidence, order_id)}, but {seen}", _read(look))
    unread = _unread(answered, final)
    if unread:
        tally.undecided = True
        tally.note = f"{unread} acknowledged orders could not be looked up by their fans at rest"
    else:
        tally.note = f"{tally.checked} orders were acknowledged, {pending} of them as pending"
    return tally


def _settling_s(evidence: Evidence) -> float:
    """When settling began."""
    return next((phase.t_start_s for phase in evidence.run.phases if phase.name == _SETTLE), float("inf"))


def _unreadable(evidence: Evidence, final: Operations[OrderValue]) -> dict[str, Operation[OrderValue]]:
    """Order id → the last look-up at rest that gave a definite answer, where that is not what the export has."""
    problems: dict[str, Operation[OrderValue]] = {}
    odd = agreed(evidence).odd_looks.since(_settling_s(evidence))
    suspects = [*odd.keys.to_pylist(), *final.failed_with(_MISSING).keys.to_pylist()]
    for look in final.of_keys(suspects) if suspects else ():
        if look.error == _MISSING or (look.ok and not _agrees(evidence, look)):
            problems[look.key] = look
        elif look.ok:
            problems.pop(look.key, None)
    return problems


def _agrees(evidence: Evidence, look: Operation[OrderValue]) -> bool:
    order = evidence.orders.get(look.key)
    return order is None or (look.value.state == order.state and order.state not in _OPEN)


def _not_in_export(evidence: Evidence, unreadable: dict[str, Operation[OrderValue]], tally: Tally) -> None:
    """Acknowledged orders that the export does not have, or has without an end; each once."""
    lost: set[str] = set()
    for word in answers(evidence, ()):
        order = evidence.order_of(word.order_id, word.key, word.operation.actor)
        if (order and order.state not in _OPEN) or word.order in lost:
            continue
        lost.add(word.order)
        problem = f"is {order.state} at rest" if order else "is not in the order export"
        look = unreadable.pop(word.order, None)
        reads = [_read(look)] if look else []
        also = f", and {_seen(look)}" if look else ""
        summary = f"order {word.order} of {word.operation.actor} is lost: it {problem}{also}"
        tally.violated(summary, word.moment(), *reads, at_rest("order export", f"order {word.order} {problem}"))


def _unread(answered: Operations[PayValue], final: Operations[OrderValue]) -> int:
    """How many acknowledged orders with an id had no definite look-up at rest."""
    told = pc.unique(answered.column("order_id"))
    ids = told.filter(pc.not_equal(told, ""))
    read = [*final.ok.keys.to_pylist(), *final.failed_with(_MISSING).keys.to_pylist()]
    return len(ids) - int(pc.sum(pc.is_in(ids, value_set=pa.array(read, pa.string()))).as_py() or 0)


def _as_exported(evidence: Evidence, order_id: str) -> str:
    order = evidence.orders.get(order_id)
    return f"is {order.state} in the order export" if order else "is not in the order export"


def _seen(look: Operation[OrderValue]) -> str:
    return "its fan is told that there is none" if look.error == _MISSING else f"its fan reads {look.value.state}"


def _read(look: Operation[OrderValue]) -> Moment:
    return during(look, f"{look.actor} looked up order {look.key} after settling: {look.value.state or look.error}")


NO_LOST_ORDER: Final = specified("no_lost_order", no_lost_order)
