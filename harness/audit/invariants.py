"""The invariants by name, and the audit that runs them. A checker that crashes has found nothing out: unknown."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec
import pyarrow as pa

from harness.audit.admission import admission_rate
from harness.audit.bookings import no_double_sell, no_lost_booking
from harness.audit.bypass import no_queue_bypass
from harness.audit.expiry import no_early_expiry
from harness.audit.feed import feed_gap_free
from harness.audit.history import Evidence
from harness.audit.limits import purchase_limit
from harness.audit.money import money_reconciles
from harness.audit.positions import position_monotonic
from harness.audit.queue import queue_order
from harness.audit.seats import no_leaked_hold, seat_conservation
from harness.audit.tally import Tally
from harness.errors import GatecrashError
from harness.record.reader import Record
from harness.record.verdict import InvariantResult, Status

Checker = Callable[[Evidence], Tally]


class InvariantSpec(msgspec.Struct, frozen=True):
    """One invariant. `check`: what is looked at from outside; `needs`: capabilities without which it cannot be seen.

    `by_absence`: it is broken by what did not happen before, so that a lost operation can look like a violation.
    """

    name: str
    title: str
    check: str
    needs: tuple[str, ...]
    checker: Checker
    by_absence: bool = False


_ALL: Final = (
    InvariantSpec(
        "no_double_sell",
        "No seat is sold twice",
        "At most one confirmed order per seat across what fans were told and the order export at rest.",
        (),
        no_double_sell,
    ),
    InvariantSpec(
        "no_lost_booking",
        "No confirmed booking is lost",
        "Every confirmation that a fan was told stands at rest, for that fan and those seats, sold in the map.",
        ("order_export",),
        no_lost_booking,
    ),
    InvariantSpec(
        "seat_conservation",
        "No seat appears or vanishes",
        "Sold + held + free = capacity at rest, each seat once, and every sold seat has a confirmed order.",
        ("seat_map",),
        seat_conservation,
    ),
    InvariantSpec(
        "no_leaked_hold",
        "No hold outlives its time",
        "At rest no seat is held, and every unpaid seat that is swept can be held again.",
        ("seat_map",),
        no_leaked_hold,
    ),
    InvariantSpec(
        "no_early_expiry",
        "No hold ends before its time",
        "Before the request + its time to live nobody else is granted the seat, and no holder is told that it is gone.",
        (),
        no_early_expiry,
        by_absence=True,
    ),
    InvariantSpec(
        "money_reconciles",
        "Orders and charges agree to the cent",
        "Each order is charged once and ticketed, or refunded, or not charged; the provider's ledger has nothing else.",
        ("order_export", "ledger_export"),
        money_reconciles,
    ),
    InvariantSpec(
        "purchase_limit",
        "Nobody buys more than allowed",
        "Seats per identity, over all sessions, devices and tries, are at most the purchase limit.",
        (),
        purchase_limit,
    ),
    InvariantSpec(
        "queue_order",
        "First come, first admitted",
        "By the declared policy: who surely joined before another is admitted first, or lots as their seed draws them.",
        ("queue",),
        queue_order,
        by_absence=True,
    ),
    InvariantSpec(
        "position_monotonic",
        "No place in line gets worse",
        "Within an epoch no fan is told a later position than before, also after a reconnect.",
        ("queue",),
        position_monotonic,
    ),
    InvariantSpec(
        "no_queue_bypass",
        "Nobody gets past the queue",
        "No hold without a pass, no pass without a place; forged tickets and probes never get as far as a hold.",
        ("queue",),
        no_queue_bypass,
        by_absence=True,
    ),
    InvariantSpec(
        "admission_rate",
        "Nobody is let in too fast",
        "In no stretch of time more fans are admitted than rate × length + burst.",
        ("queue",),
        admission_rate,
    ),
    InvariantSpec(
        "feed_gap_free",
        "No seat change is missed",
        "Contiguous sequence numbers per follower and epoch, or an explicit resync; changes add up to every snapshot.",
        ("feed",),
        feed_gap_free,
    ),
)
_LAST_LOOK_AT: Final = {"purchase_limit": ("joins", "enters"), "seat_conservation": ("holds", "sweeps")}
"""Of the invariants in the order in which `audit` checks them: who looks at these operations last."""
INVARIANTS: Final[dict[str, InvariantSpec]] = {spec.name: spec for spec in _ALL}


def audit(record: Record) -> tuple[InvariantResult, ...]:
    """Check every invariant against the record. Raises `InputError` for a record that its schema does not allow.

    The last first: those of queue and feed work on whole event tables, before the operations are all in memory.
    """
    evidence = Evidence(record)
    missing = evidence.missing_operations
    results: dict[str, InvariantResult] = {}
    with _no_collection():
        for name, spec in reversed(INVARIANTS.items()):
            results[name] = check(spec, evidence)
            evidence.let_go(_LAST_LOOK_AT.get(name, ()))
            pa.default_memory_pool().release_unused()
    return tuple(_of_a_part(results[name], missing) for name in INVARIANTS)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without the cyclic garbage collector: it would walk the millions of operations again and again, for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _of_a_part(result: InvariantResult, missing: int) -> InvariantResult:
    """What a result is worth when operations are missing: nothing is held, and not every violation is one."""
    if not missing or result.status is Status.NOT_OBSERVABLE:
        return result
    stands = result.status is Status.VIOLATED and not INVARIANTS[result.name].by_absence
    found = Status.VIOLATED if stands else Status.UNKNOWN
    note = f"{missing} operations are missing from the record{'; ' if result.note else ''}{result.note}"
    return msgspec.structs.replace(result, status=found, note=note)


def check(spec: InvariantSpec, evidence: Evidence) -> InvariantResult:
    """Check one invariant."""
    hidden = [capability for capability in spec.needs if capability not in evidence.run.capabilities]
    if hidden:
        note = f"the platform does not show: {', '.join(hidden)}"
        return InvariantResult(
            name=spec.name, status=Status.NOT_OBSERVABLE, operations_checked=0, unknowns=0, note=note
        )
    try:
        return spec.checker(evidence).result(spec.name)
    except GatecrashError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever broke the checker, it must not break the verdict
        note = f"the checker crashed: {type(error).__name__}: {error}"
        return InvariantResult(name=spec.name, status=Status.UNKNOWN, operations_checked=0, unknowns=0, note=note)
