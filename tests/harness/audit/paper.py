"""Short histories written by hand, for the checkers' tests."""

from __future__ import annotations

import msgspec

from harness.audit.history import Evidence
from harness.audit.invariants import INVARIANTS, check
from harness.record.schema import SeatMapFacts
from harness.record.verdict import InvariantResult
from tests.builders import RunBuilder
from tests.paper_sale import EPOCH


def empty() -> RunBuilder:
    """An on-sale to which nobody came: tests add what they need."""
    builder = RunBuilder(fans=0, spectators=0, faulty=False)
    for name in ("requests", "operations", "events", "final_seats", "metrics", "generator"):
        builder.tables[name].clear()
    return builder.changed(seat_map_at_rest=None)


def judged(name: str, builder: RunBuilder, *, absent: tuple[str, ...] = ()) -> InvariantResult:
    """What one checker says of it."""
    return check(INVARIANTS[name], Evidence(builder.record(absent=absent)))


def sold(builder: RunBuilder, fan: int, seat: str, order: str, *, state: str = "confirmed") -> None:
    """A fan was told that a seat is theirs, and the export, the ledger and the map agree."""
    value = {"hold_id": f"h-{order}", "seats": [seat], "order_id": order, "amount_cents": 5000, "state": state}
    value |= {"shown_cents": 5000}
    builder.operation(fan, "hold", f"h-{order}", {"seats": [seat], "ttl_s": 8.0}, fan, fan + 0.1)
    builder.operation(fan, "pay", f"k-{order}", value, fan + 0.2, fan + 0.3)
    exported(builder, fan, seat, order)
    booked(builder, order, "capture")
    builder.tables["final_seats"].append({"seat": seat, "state": "sold"})


def exported(builder: RunBuilder, fan: int, seat: str, order: str, state: str = "confirmed", cents: int = 5000) -> None:
    """One row of the order export."""
    row = {"order_id": order, "fan": f"fan-{fan:04d}", "seat": seat, "state": state}
    builder.tables["final_orders"].append(row | {"amount_cents": cents, "idempotency_key": f"k-{order}"})


def booked(
    builder: RunBuilder, order: str, entry: str, cents: int = 5000, *, card: str | None = None, charge: str = ""
) -> None:
    """One entry of the provider's ledger; a refund is on the order's last capture, or on `charge`."""
    rows = builder.tables["final_ledger"]
    captures = [row["charge_id"] for row in rows if row["order_id"] == order and row["entry"] == "capture"]
    of = charge or (captures[-1] if captures and entry == "refund" else f"c-{len(rows)}")
    row = {"charge_id": of, "idempotency_key": f"p-{order}", "order_id": order}
    rows.append(row | {"entry": entry, "amount_cents": cents, "card": card})


def read_at_rest(builder: RunBuilder, fan: int, seat: str, order: str, state: str = "confirmed") -> None:
    """A fan's look at an order after settling; `state` "": there is none."""
    value = {"state": state, "seats": [seat], "amount_cents": 5000} if state else {}
    t_s = builder.duration_s + 1
    builder.operation(fan, "order", order, value, t_s, t_s + 0.1, "ok" if state else "fail", "" if state else "missing")


def at_rest(builder: RunBuilder, *, capacity: int | None = None, seq: int | None = None) -> None:
    """What the platform says of its resting map."""
    builder.changed(seat_map_at_rest=SeatMapFacts(capacity=capacity, epoch=EPOCH, seq=seq))


def with_uncertain_clocks(builder: RunBuilder, uncertainty_ms: float) -> RunBuilder:
    """Two workers, each of whose clocks may be off by so much."""
    load = builder.run.load
    assert load is not None
    worker = msgspec.structs.replace(load.workers[0], clock_uncertainty_ms=uncertainty_ms)
    other = msgspec.structs.replace(worker, worker=1)
    return builder.changed(load=msgspec.structs.replace(load, workers=(worker, other)))
