"""What was sold and what was left before the release, on a platform that has a life before the rehearsal.

It is read twice while nobody buys: a platform on which something else is sold meanwhile cannot be audited. Orders that
stay pending, as those that wait for a bank transfer, are part of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness.platform import Capability, FinalOrder, FinalReads, HasPast, Platform
from harness.scenario import OwnPlatform
from harness.scenario.environment import redacted, secret_values
from harness.swarm.recording.recorder import Recorder


class Unreadable(Exception):
    """There is no baseline. The message says why, in one line."""


def read_baseline(platform: Platform, recorder: Recorder, timeout_s: float, own: OwnPlatform | None) -> tuple[str, ...]:
    """Read it and note its rows. Returns the names of the tables that it has. Raises Unreadable."""
    capabilities = platform.capabilities
    wanted = {
        "baseline_orders": Capability.ORDER_EXPORT in capabilities,
        "baseline_stock": Capability.STOCK in capabilities and Capability.ORDER_EXPORT in capabilities,
    }
    if not any(wanted.values()):
        if own is not None and own.baseline == "read":
            raise Unreadable("baseline: read needs an adapter with the capability order_export")
        return ()
    try:
        return _read(platform, recorder, timeout_s)
    except Unreadable as problem:
        values = () if own is None else secret_values(own)
        raise Unreadable(redacted(" ".join(str(problem).split()), values)) from None


def _read(platform: Platform, recorder: Recorder, timeout_s: float) -> tuple[str, ...]:
    first = _readable(platform, timeout_s)
    pending = any(order.state == "pending" for order in first.orders or ())
    if not first.at_rest and pending and isinstance(platform, HasPast):
        platform.leave_out(first)  # it had all this time to come to an end, and nobody buys
    else:
        _require_rest(first, timeout_s)
    second = _readable(platform, timeout_s)
    _require_rest(second, timeout_s)
    for change in changes(first, second):
        raise Unreadable(f"the platform changes while nobody buys: {change}")
    tables = []
    read = {"baseline_orders": second.orders, "baseline_stock": second.stock, "baseline_ledger": second.ledger}
    for name, rows in read.items():
        if rows is not None:
            tables.append(name)
            for row in rows:
                recorder.row(name, row)
    return tuple(tables)


def _readable(platform: Platform, timeout_s: float) -> FinalReads:
    reads = platform.final_reads((), timeout_s)
    if reads.orders is None:
        why = "; ".join(reads.notes) or "the adapter gives none"
        raise Unreadable(f"the orders of before the release cannot be read: {why}")
    return reads


def _require_rest(reads: FinalReads, timeout_s: float) -> None:
    if not reads.at_rest:
        why = "; ".join(reads.notes) or "the adapter gives no reason"
        raise Unreadable(f"the platform was not at rest within {timeout_s:g} s, with nobody buying: {why}")


def _by_id(reads: FinalReads) -> dict[str, set[FinalOrder]]:
    found: dict[str, set[FinalOrder]] = {}
    for order in reads.orders or ():
        found.setdefault(order.order_id, set()).add(order)
    return found


def changes(first: FinalReads, second: FinalReads) -> Iterator[str]:
    """What differs between two readings, in words, orders first."""
    before, after = _by_id(first), _by_id(second)
    for order_id in sorted(before.keys() | after.keys()):
        if order_id not in before:
            yield f"order {order_id} appeared"
        elif order_id not in after:
            yield f"order {order_id} vanished"
        elif before[order_id] != after[order_id]:
            yield f"order {order_id} was changed"
    left = {pool.pool: pool for pool in first.stock or ()}
    for pool in second.stock or ():
        was = left.get(pool.pool)
        if was is not None and was != pool:
            yield f"pool {pool.pool} had {was.free} free and then {pool.free}"
