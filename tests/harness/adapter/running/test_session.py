"""An adapter's verbs become operations and rows; what ended unknown is looked up and never done again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from time import monotonic

import gevent
import pytest

from harness.adapter.browsing.browser import Browser
from harness.adapter.errors import AdapterFault
from harness.adapter.kit import ExportedOrder, LedgerRow, Placed, PoolAtRest, Refused, ShopPlatform
from harness.platform import AckedOrder, Addresses, Call, CanLose, LosesAnswers, Person
from harness.record.schema import Outcome
from harness.scenario import OwnPlatform
from harness.swarm.control.baseline import read_baseline
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from tests.harness.adapter.shop import LittleShop, Shop, Visitor
from tests.harness.swarm.scripted_server import serving


def person(number: int = 0) -> Person:
    return Person(user=number, kind="fan", actor=f"fan-{number:06d}", identity=f"person-{number:06d}")


def now() -> Call:
    return Call(t_intended_s=monotonic())


@contextmanager
def raised(shop: Shop, kind: type[LittleShop] = LittleShop, **section: object) -> Iterator[tuple[LittleShop, Recorder]]:
    with serving(shop.script) as server:
        own = OwnPlatform(url=server.url, secrets={"token": "SHOP_TOKEN"}, **section)
        recorder = Recorder(1)
        yield kind(Addresses(booking=server.url, feeds=(), event="", own=own), recorder), recorder


def table(recorder: Recorder, name: str) -> list[dict]:
    batch = recorder.take(ReleaseInstant(0.0, 0.0))
    return batch[name].to_pylist() if name in batch else []


def test_a_purchase_is_a_row_for_each_hop_and_an_operation_for_each_verb() -> None:
    with raised(Shop()) as (platform, recorder):
        fan = platform.fan_session(person())
        assert fan.queue_page(now()).outcome is Outcome.OK
        assert fan.stock(now()).value.pools[0].free == 50
        hold = fan.hold_stock(now(), "standing", 2).value
        order = fan.pay(now(), hold, key="k1", declined_on_purpose=False).value
        assert fan.order(now(), order.order_id).value.state == "confirmed"
        fan.close()
    batches = recorder.take(ReleaseInstant(0.0, 0.0))
    operations = {row["function"]: row for row in batches["operations"].to_pylist()}
    assert [row["outcome"] for row in operations.values()] == ["ok"] * 4
    values = {name: json.loads(row["value"]) for name, row in operations.items()}
    assert values["stock"]["pools"] == {"standing": 50}
    assert values["hold"] == {"pool": "standing", "quantity": 2, "granted": 2}
    paid = values["pay"]
    assert (paid["order_id"], paid["bought"], paid["amount_cents"], paid["shown_cents"]) == ("1", 2, 5000, 5000)
    requests = batches["requests"].to_pylist()
    assert [(row["step"], row["page"]) for row in requests] == [
        ("queue_page", "GET /sale"),
        ("stock", "GET /sale"),
        ("hold", "GET /sale"),
        ("hold", "POST /cart"),
        ("hold", "GET /sale"),
        ("pay", "GET /sale"),
        ("pay", "POST /buy"),
        ("pay", "GET /order/{n}"),
        ("order", "GET /order/{n}"),
    ]
    ops = {name: row["op"] for name, row in operations.items()}
    assert [row["op"] for row in requests if row["step"] == "hold"] == [ops["hold"]] * 3
    followed = [row for row in requests if row["step"] == "pay"]
    assert all(later["t_intended_s"] == row["t_end_s"] for row, later in pairwise(followed))


def test_a_reservation_whose_answer_was_cut_is_looked_up_and_not_made_again() -> None:
    shop = Shop(cut={"/cart": 1})
    with raised(shop) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        first = fan.hold_stock(now(), "standing", 2)
        assert (first.outcome, first.final) == (Outcome.UNKNOWN, False)
        again = fan.hold_stock(Call(t_intended_s=monotonic(), attempt=2, retry_of=first.op), "standing", 2)
        fan.close()
    assert again.value.quantity == 2
    assert sum(shop.carts.values()) == 2


def test_a_purchase_whose_answer_was_cut_is_not_made_again_where_nobody_can_look() -> None:
    shop = Shop(cut={"/buy": 1})
    with raised(shop) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        hold = fan.hold_stock(now(), "standing", 2).value
        first = fan.pay(now(), hold, key="k", declined_on_purpose=False)
        again = fan.pay(now(), hold, key="k", declined_on_purpose=False)
        fan.close()
    assert (first.outcome, again.outcome, again.final) == (Outcome.UNKNOWN, Outcome.UNKNOWN, True)
    assert len(shop.orders) == 1


@pytest.mark.parametrize(("quantity", "error"), [(5, "limit"), (3, "conflict")])
def test_a_refusal_is_a_failed_operation(quantity: int, error: str) -> None:
    with raised(Shop(stock=2)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        answer = fan.hold_stock(now(), "standing", quantity)
        fan.close()
        (row,) = table(recorder, "operations")
    assert (answer.outcome, answer.error, answer.final) == (Outcome.FAIL, error, True)
    assert (row["outcome"], row["error"]) == ("fail", error)


def test_what_is_read_at_rest_names_the_fans() -> None:
    with raised(Shop()) as (platform, recorder):
        fan = platform.fan_session(person(3))
        fan.queue_page(now())
        hold = fan.hold_stock(now(), "standing", 2).value
        order = fan.pay(now(), hold, key="k", declined_on_purpose=False).value
        fan.close()
        acked = [AckedOrder(order_id=order.order_id, actor="fan-000003", identity="person-000003")]
        reads = platform.final_reads(acked, 5.0)
        looks = [row for row in table(recorder, "operations") if row["function"] == "order"]
    assert (reads.at_rest, reads.notes) == (True, ())
    assert (reads.stock[0].free, reads.stock[0].held, reads.stock[0].sold) == (48, 0, 2)
    (row,) = reads.orders
    assert (row.fan, row.quantity, row.amount_cents, row.state) == ("fan-000003", 2, 5000, "confirmed")
    assert (looks[0]["actor"], looks[0]["outcome"]) == ("fan-000003", "ok")
    assert reads.ledger[0].entry == "capture"


def _bought(platform: LittleShop, fan_number: int) -> AckedOrder:
    fan = platform.fan_session(person(fan_number))
    fan.queue_page(now())
    hold = fan.hold_stock(now(), "standing", 2).value
    order = fan.pay(now(), hold, key="k", declined_on_purpose=False).value
    fan.close()
    return AckedOrder(order_id=order.order_id, actor=person(fan_number).actor, identity=person(fan_number).identity)


class NoStockPage(LittleShop):
    stock = ShopPlatform.stock


def test_a_stock_that_no_operator_reads_is_shown_as_none_and_not_as_unreadable() -> None:
    with raised(Shop(), NoStockPage) as (platform, _):
        reads = platform.reads_now()
    assert (reads.stock, reads.notes) == ((), ())


class LateExport(LittleShop):
    """Its export is made anew every so often."""

    asked = 0

    def orders(self, api):
        self.asked += 1
        yield from super().orders(api) if self.asked > 2 else ()


def test_an_export_that_lags_behind_is_given_the_time_to_rest() -> None:
    with raised(Shop(), LateExport) as (platform, _):
        acked = [_bought(platform, 3)]
        assert [row.fan for row in platform.final_reads(acked, 5.0).orders] == ["fan-000003"]
    with raised(Shop(), LateExport) as (platform, _):
        acked = [_bought(platform, 3)]
        platform.asked = -99
        assert platform.final_reads(acked, 0.6).orders == ()


class NamelessExport(LittleShop):
    def orders(self, api):
        for order in super().orders(api):
            yield ExportedOrder(
                order_id=order.order_id, fan="someone", state=order.state, cents=order.cents, quantity=order.quantity
            )


def test_an_export_that_names_none_of_the_fans_leaves_the_orders_of_which_none_was_told_to_nobody() -> None:
    with raised(Shop(), NamelessExport) as (platform, _):
        acked = [_bought(platform, 3)]
        _bought(platform, 4)
        reads = platform.final_reads(acked, 5.0)
        assert [row.fan for row in reads.orders] == ["fan-000003", ""]
        assert reads.foreign_owners.startswith(
            "the export gives 1 of 1 orders that fans were told of to people who are"
        )
        assert reads.foreign_owners.endswith("which fan-000003 bought, to 'someone'")
    with raised(Shop(), LittleShop) as (platform, _):
        assert platform.final_reads([_bought(platform, 3)], 5.0).foreign_owners == ""


class CrossedExport(LittleShop):
    def orders(self, api):
        for order in super().orders(api):
            yield ExportedOrder(
                order_id=order.order_id, fan="fan-000004", state=order.state, cents=order.cents, quantity=order.quantity
            )


def test_an_export_that_gives_an_order_to_another_fan_is_taken_at_its_word() -> None:
    with raised(Shop(), CrossedExport) as (platform, _):
        reads = platform.final_reads([_bought(platform, 3)], 5.0)
        assert [row.fan for row in reads.orders] == ["fan-000004"]
        assert reads.foreign_owners == ""


def somebody_buys(shop: Shop, state: str = "confirmed", quantity: int = 3) -> None:
    shop.orders.append({"id": len(shop.orders) + 1, "email": "bob@shop.test", "quantity": quantity, "state": state})


class Busy(LittleShop):
    """Somebody else buys after the stock was read, so many times."""

    purchases = 2
    shop: Shop

    def stock(self, api):
        yield from super().stock(api)
        if self.purchases:
            self.purchases -= 1
            somebody_buys(self.shop)


def test_what_others_buy_while_the_pages_are_read_is_read_again() -> None:
    shop = Shop()
    with raised(shop, Busy) as (platform, _):
        platform.shop = shop
        reads = platform.final_reads((), 10.0)
    assert (reads.at_rest, reads.notes) == (True, ())
    assert (reads.stock[0].free, sum(order.quantity for order in reads.orders)) == (44, 6)


def test_a_platform_on_which_others_buy_all_the_time_is_not_at_rest() -> None:
    shop = Shop()
    with raised(shop, Busy) as (platform, _):
        platform.shop, platform.purchases = shop, 10_000
        reads = platform.final_reads((), 1.0)
    assert not reads.at_rest
    assert reads.notes == ("not at rest: the operator's pages changed while they were read: does somebody else buy?",)


def test_orders_that_were_pending_before_the_release_are_no_unrest() -> None:
    shop = Shop()
    somebody_buys(shop, "pending")
    with raised(shop) as (platform, recorder):
        assert not platform.final_reads((), 0.1).at_rest
        assert read_baseline(platform, recorder, 0.1, None) == ("baseline_orders", "baseline_stock", "baseline_ledger")
        shop.carts["somebody"] = 1
        assert not platform.final_reads((), 0.1).at_rest
        shop.carts.clear()
        assert platform.final_reads((), 0.1).at_rest
        somebody_buys(shop, "pending")
        assert not platform.final_reads((), 0.1).at_rest


class EndlessExport(LittleShop):
    """Its export is a job of which nobody hears again."""

    def orders(self, api: Browser) -> Iterator[ExportedOrder]:
        api.get("/")
        gevent.sleep(600)
        yield from ()


def test_an_export_that_never_ends_is_given_up_and_the_other_pages_are_said() -> None:
    with raised(Shop(), EndlessExport) as (platform, recorder), gevent.Timeout(120):
        reads = platform.final_reads([AckedOrder(order_id="o1", actor="fan-000000", identity="person-000000")], 0.5)
        assert recorder.take(ReleaseInstant(0.0, 0.0))["requests"].num_rows > 1
    assert (reads.at_rest, reads.orders, reads.ledger) == (False, None, None)
    assert any(note.startswith("not at rest: ") for note in reads.notes)
    assert [note.partition("could not be read: ")[2] for note in reads.notes if "could not be read" in note] == [
        "the time for reading was over"
    ] * 3


class Contradicts(LittleShop):
    free = 7

    def stock(self, api):
        yield PoolAtRest(pool="floor", free=7)
        yield PoolAtRest(pool="floor", free=self.free)

    def ledger(self, api):
        for charge in ("1", "1", "2")[7 - self.free :]:
            yield LedgerRow(charge_id=charge, order_id="1", entry="capture", cents=5)


def test_pages_that_contradict_themselves_are_not_taken_for_what_is() -> None:
    with raised(Shop(), Contradicts) as (platform, _):
        reads = platform.reads_now()
        assert (len(reads.stock), reads.ledger) == (1, None)
        assert reads.notes == ("ledger could not be read: it lists the capture 1 twice, with the same row",)
        platform.free = 6
        reads = platform.reads_now()
        assert (reads.stock, len(reads.ledger)) == (None, 2)
        assert reads.notes == ("stock could not be read: it lists the pool floor twice, with different figures",)


class Tells(Visitor):
    words = "is sold out"

    def reserve(self, pool, quantity):
        raise Refused(f"{self.secrets['token']} {self.words}")


class Telling(LittleShop):
    shopper = Tells


def test_the_word_of_a_refusal_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAF_BYPASS", "open sesame")
    monkeypatch.setattr(Tells, "words", f"says\n  open sesame{'!' * 500}")
    with raised(Shop(), Telling, headers={"X-Load": "env:WAF_BYPASS"}) as (platform, recorder):
        answer = platform.fan_session(person()).hold_stock(now(), "standing", 1)
        (operation,) = table(recorder, "operations")
    assert answer.error == operation["error"]
    assert operation["error"].startswith("*** says ***!!!")
    assert len(operation["error"]) == 80


def test_a_verb_that_exits_is_a_fault_of_the_adapter_and_ends_no_process() -> None:
    class Leaves(Visitor):
        def left(self):
            raise SystemExit(0)

    class Left(LittleShop):
        shopper = Leaves

    with raised(Shop(), Left) as (platform, recorder):
        with pytest.raises(AdapterFault, match="left of fan-000000: SystemExit: 0"):
            platform.fan_session(person()).stock(now())
        (operation,) = table(recorder, "operations")
    assert (operation["outcome"], operation["error"]) == ("unknown", "adapter")


def test_an_order_that_was_asked_for_with_no_request_is_a_fault_of_the_adapter_and_no_order() -> None:
    class Lies(Visitor):
        def buy(self, basket, key, *, declined):
            return Placed(order_id="made-up", state="confirmed")

    class Lying(LittleShop):
        shopper = Lies

    with raised(Shop(), Lying) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        hold = fan.hold_stock(now(), "standing", 2).value
        with pytest.raises(AdapterFault, match="buy returned order 'made-up' and sent no request"):
            fan.pay(now(), hold, key="k", declined_on_purpose=False)
        assert fan.orders == set()
        operation = table(recorder, "operations")[-1]
    assert (operation["function"], operation["outcome"], operation["error"]) == ("pay", "unknown", "adapter")


class Looks(Visitor):
    """Has no key that makes a second purchase harmless, and looks at the operator's list in place of an order page."""

    finds = True

    def resume_buy(self, basket, key, resume):
        orders = [order for order in SHOP.orders if order["email"] == self.email]
        return Placed(order_id=str(orders[0]["id"]), state="confirmed", quantity=1) if orders and self.finds else None


class Looking(LittleShop):
    shopper = Looks


SHOP = Shop()


@pytest.mark.parametrize("finds", [True, False])
def test_a_fan_who_loses_an_answer_on_purpose_really_has_to_find_out(
    monkeypatch: pytest.MonkeyPatch, finds: bool
) -> None:
    monkeypatch.setitem(globals(), "SHOP", shop := Shop())
    monkeypatch.setattr(Looks, "finds", finds)
    with raised(shop, Looking) as (platform, recorder):
        assert isinstance(platform, LosesAnswers)
        platform.purchase_acts = 1
        fan = platform.fan_session(person())
        assert isinstance(fan, CanLose)
        hold = fan.hold_stock(now(), "standing", 1).value
        fan.lose_next_answer()
        first = fan.pay(now(), hold, key="k1", declined_on_purpose=False)
        assert (first.outcome, first.error, first.final) == (Outcome.UNKNOWN, "reset", False)
        second = fan.pay(now(), hold, key="k1", declined_on_purpose=False)
        pays = [row for row in table(recorder, "operations") if row["function"] == "pay"]
    assert second.outcome is (Outcome.OK if finds else Outcome.FAIL)  # to buy again finds the basket gone
    assert len(shop.orders) == 1
    assert [json.loads(row["value"]).get("answer_lost_on_purpose") for row in pays] == [True, None]


def test_where_a_key_makes_it_harmless_or_nobody_can_look_no_answer_is_lost() -> None:
    class Keyed(Looks):
        same_key_same_purchase = True

    class WithKeys(LittleShop):
        shopper = Keyed

    for kind in (WithKeys, LittleShop):
        with raised(Shop(), kind) as (platform, _):
            platform.purchase_acts = 1
            fan = platform.fan_session(person())
            hold = fan.hold_stock(now(), "standing", 1).value
            fan.lose_next_answer()
            assert fan.pay(now(), hold, key="k1", declined_on_purpose=False).outcome is Outcome.OK
