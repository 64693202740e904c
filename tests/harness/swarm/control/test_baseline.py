"""What was sold before the release: read twice, and refused when it changes while nobody buys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from harness.platform import AckedOrder, Capability, FinalEntry, FinalOrder, FinalPool, FinalReads
from harness.scenario import OwnPlatform
from harness.swarm.control.baseline import Unreadable, changes, read_baseline

ORDER = FinalOrder(
    order_id="o1", fan="trial-1", seat="", state="confirmed", amount_cents=5_000, idempotency_key="", pool="floor"
)
POOL = FinalPool(pool="floor", free=49, held=0, sold=1)
QUIET = FinalReads(at_rest=True, orders=(ORDER,), stock=(POOL,))
SECRET = "sk-live-0815-4711"


class Shop:
    def __init__(self, *reads: FinalReads, capabilities: Sequence[Capability] = tuple(Capability)) -> None:
        self.capabilities = frozenset(capabilities)
        self._reads: Iterator[FinalReads] = iter(reads)

    def final_reads(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        assert acked == ()
        return next(self._reads)


class Rows:
    def __init__(self) -> None:
        self.kept: list[tuple[str, object]] = []

    def row(self, table: str, row: object) -> None:
        self.kept.append((table, row))


def read(shop: Shop, own: OwnPlatform | None = None) -> tuple[tuple[str, ...], list[tuple[str, object]]]:
    rows = Rows()
    return read_baseline(shop, rows, 5.0, own), rows.kept  # type: ignore[arg-type]


def test_orders_and_stock_are_noted() -> None:
    assert read(Shop(QUIET, QUIET)) == (
        ("baseline_orders", "baseline_stock"),
        [("baseline_orders", ORDER), ("baseline_stock", POOL)],
    )


def test_a_platform_that_had_sold_nothing_has_an_empty_baseline() -> None:
    nothing = FinalReads(at_rest=True, orders=())
    assert read(Shop(nothing, nothing)) == (("baseline_orders",), [])


def changed(**what: object) -> FinalReads:
    return msgspec.structs.replace(QUIET, **what)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (changed(orders=(ORDER, msgspec.structs.replace(ORDER, order_id="o2"))), "order o2 appeared"),
        (changed(orders=()), "order o1 vanished"),
        (changed(orders=(msgspec.structs.replace(ORDER, state="refunded"),)), "order o1 was changed"),
        (changed(stock=(msgspec.structs.replace(POOL, free=48),)), "pool floor had 49 free and then 48"),
    ],
)
def test_one_that_changes_while_nobody_buys_is_refused(second: FinalReads, said: str) -> None:
    assert list(changes(QUIET, second)) == [said]
    with pytest.raises(Unreadable, match=f"the platform changes while nobody buys: {said}"):
        read(Shop(QUIET, second))


def test_one_that_cannot_be_read_or_is_not_at_rest_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSHOP_TOKEN", SECRET)
    own = OwnPlatform(secrets={"token": "MYSHOP_TOKEN"})
    with pytest.raises(Unreadable, match=r"cannot be read: 401: \*\*\* is no token"):
        read(Shop(FinalReads(at_rest=False, notes=(f"401: {SECRET} is no\ntoken",))), own)
    with pytest.raises(Unreadable, match=r"not at rest within 5 s, with nobody buying: 2 orders are pending"):
        read(Shop(changed(at_rest=False, notes=("2 orders are pending",))))


def test_a_platform_without_an_export_has_none_and_may_not_promise_one() -> None:
    without = Shop(capabilities=[Capability.STOCK])
    assert read(without) == ((), [])
    with pytest.raises(Unreadable, match="needs an adapter with the capability order_export"):
        read(without, OwnPlatform(baseline="read"))


def test_what_was_booked_before_is_noted_where_the_ledger_is_shown() -> None:
    entry = FinalEntry(charge_id="c", idempotency_key="", order_id="older", entry="capture", amount_cents=1)
    reads = changed(ledger=(entry,))
    assert read(Shop(reads, reads)) == (
        ("baseline_orders", "baseline_stock", "baseline_ledger"),
        [("baseline_orders", ORDER), ("baseline_stock", POOL), ("baseline_ledger", entry)],
    )
