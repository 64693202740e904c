"""The adapter of the little shop against the shop: each verb, each refusal, each kind of queue, the state at rest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic

import pytest

from harness.platform import Answer, Call, FinalEntry, FinalOrder, FinalPool, Hold, Order, Person, QueueNewsKind
from harness.processes.ports import free_ports
from harness.record.schema import Outcome
from harness.scenario import OwnPlatform
from harness.stack import Addresses
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.loader import load_class
from tests.target.little_shop.shops import TOKEN, Shop, running, shop
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
ADAPTER = "scenarios/little_shop/shop.py"
LINES_MAX = 120


class Fan:
    """One fan of an adapter, who must have an answer to each verb."""

    def __init__(self, platform: object, number: int = 0) -> None:
        actor = f"fan-{number:06d}"
        self.session = platform.fan_session(Person(user=number, kind="fan", actor=actor, identity=actor))  # type: ignore[attr-defined]
        assert self.session.queue_page(now()).outcome is Outcome.OK

    def comes_in(self) -> tuple[list[int | None], int]:
        """Through the queue; gives the positions that were told, and the number of the admission."""
        join = self.session.join(now())
        assert join.outcome is Outcome.OK, join
        told: list[int | None] = [join.value.position]
        stream = self.session.positions(now())
        assert stream.outcome is Outcome.OK, stream
        news = list(stream.value)
        told += [each.position for each in news if each.kind is QueueNewsKind.POSITION]
        assert news[-1].kind is QueueNewsKind.ADMITTED, news
        entered = self.session.enter(now())
        assert entered.outcome is Outcome.OK, entered
        return told, entered.value.admission_no

    def holds(self, quantity: int, pool: str = "standing") -> Answer[Hold]:
        answer: Answer[Hold] = self.session.hold_stock(now(), pool, quantity)
        return answer

    def pays(self, hold: Hold, key: str = "k", *, declined: bool = False) -> Answer[Order]:
        answer: Answer[Order] = self.session.pay(now(), hold, key=key, declined_on_purpose=declined)
        return answer


def now() -> Call:
    return Call(t_intended_s=monotonic())


def platform_of(little_shop: Shop, adapter: str = f"{ADAPTER}:LittleShop", **own: object) -> object:
    where = {"url": little_shop.url, "secrets": {"token": "LITTLE_SHOP_TOKEN"}, **own}
    addresses = Addresses(booking=little_shop.url, feeds=(), event="", own=OwnPlatform(**where))  # type: ignore[arg-type]
    return load_class(adapter)(addresses, Recorder(1))


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTLE_SHOP_TOKEN", TOKEN)


@contextmanager
def direct(*options: str) -> Iterator[tuple[Shop, object]]:
    """A shop without a queue, and its adapter."""
    with shop("--base-path", "/onsale", *options, base="/onsale") as little_shop:
        yield little_shop, platform_of(little_shop, "scenarios/little_shop/kinds.py:DirectShop")


def test_the_adapter_is_short() -> None:
    assert len((ROOT / ADAPTER).read_text().splitlines()) <= LINES_MAX


def test_one_purchase_and_the_state_at_rest() -> None:
    with direct() as (_, platform):
        fan = Fan(platform)
        (pool,) = fan.session.stock(now()).value.pools
        assert (pool.name, pool.free, pool.price_cents) == ("standing", 50, 4500)
        hold = fan.holds(2).value
        assert hold is not None
        assert (hold.pool, hold.quantity, hold.shown_cents) == ("standing", 2, 9000)
        assert hold.ttl_s is not None
        assert 55 < hold.ttl_s <= 60
        order = fan.pays(hold).value
        assert order is not None
        assert order.state == "confirmed"
        assert fan.pays(hold).value == order  # the same form again
        assert fan.session.order(now(), order.order_id).value.state == "confirmed"
        reads = platform.final_reads((), 10.0)  # type: ignore[attr-defined]
        assert reads.at_rest
        assert reads.stock == (FinalPool(pool="standing", free=48, held=0, sold=2),)
        assert reads.orders == (
            FinalOrder(
                order_id=order.order_id, fan="fan-000000", seat="", state="confirmed", amount_cents=9000,
                idempotency_key="k", pool="standing", quantity=2,
            ),
        )  # fmt: skip
        (entry,) = reads.ledger
        assert isinstance(entry, FinalEntry)
        assert (entry.entry, entry.amount_cents, entry.order_id) == ("capture", 9000, order.order_id)


def test_what_is_refused_has_the_words_of_the_record() -> None:
    with direct("--stock", "5", "--basket-ttl", "1") as (little_shop, platform):
        fan, other = Fan(platform), Fan(platform, 1)
        assert (fan.holds(5).error, fan.holds(5).final) == ("limit", True)
        hold = fan.holds(4).value
        assert hold is not None
        assert (other.holds(2).error, other.holds(2).final) == ("conflict", True)
        assert fan.session.release(now(), hold).outcome is Outcome.OK
        assert fan.session.release(now(), hold).error == "expired"
        hold = fan.holds(1).value
        assert hold is not None
        assert fan.pays(hold, declined=True).error == "declined"
        hold = fan.holds(1).value
        assert hold is not None
        wait_until(lambda: little_shop.pool()["free"] == 5, what="the end of the basket")
        assert fan.pays(hold, "late").error == "expired"
        missing = fan.session.order(now(), "NOTHING")
        assert (missing.outcome, missing.error) == (Outcome.FAIL, "missing")


@pytest.mark.parametrize(
    ("queue", "adapter", "shows_first"),
    [
        ("polling", "shop.py:LittleShop", True),
        ("sse", "kinds.py:EventShop", True),
        ("websocket", "kinds.py:SocketShop", True),
        ("lottery", "shop.py:LittleShop", False),
    ],
)
def test_a_queue_of_the_shops_own(queue: str, adapter: str, shows_first: bool) -> None:
    with shop("--queue", queue, "--admit-per-s", "2", "--draw-after", "0.5") as little_shop:
        fan = Fan(platform_of(little_shop, f"scenarios/little_shop/{adapter}"))
        told, number = fan.comes_in()
        assert number == 1
        assert (told[0] is not None) is shows_first
        positions = [position for position in told if position is not None]
        assert positions == sorted(positions, reverse=True)
        assert fan.holds(1).outcome is Outcome.OK


def test_a_third_partys_waiting_room() -> None:
    shop_port, room_port = free_ports(2)
    room = f"http://127.0.0.2:{room_port}"
    with ExitStack() as up:
        little_shop = up.enter_context(shop("--queue", "room", "--room-url", room, port=shop_port))
        options = ("--host", "0.0.0.0", "--admit-per-s", "2", "--shop", little_shop.url)
        up.enter_context(running("target.little_shop.room", *options, port=room_port))
        adapter = "scenarios/little_shop/kinds.py:RoomShop"
        fan = Fan(platform_of(little_shop, adapter, hosts=("127.0.0.2",)))
        told, _ = fan.comes_in()
        assert told[0] == 1
        assert fan.holds(1).outcome is Outcome.OK


def test_customers_with_a_password(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("name,password\nann,secret\n")
    with shop("--login", str(accounts)) as little_shop:
        adapter = "scenarios/little_shop/kinds.py:DirectShop"
        platform = platform_of(little_shop, adapter, people=str(accounts), secret_columns=("password",))
        fan = Fan(platform)
        hold = fan.holds(1).value
        assert hold is not None
        assert fan.pays(hold).outcome is Outcome.OK
        (row,) = platform.final_reads((), 10.0).orders  # type: ignore[attr-defined]
        assert row.fan == "fan-000000"


def test_seats_and_standing_tickets_in_one_sale() -> None:
    with shop("--seats", "20") as little_shop:
        platform = platform_of(little_shop, "scenarios/little_shop/kinds.py:SeatShop")
        fan, other = Fan(platform), Fan(platform, 1)
        venue = fan.session.venue(now()).value
        assert [(section.name, len(section.rows)) for section in venue.sections] == [("A", 1), ("B", 1)]
        hold = fan.session.hold(now(), ("A1-1", "A1-2")).value
        assert (hold.seats, hold.shown_cents) == (("A1-1", "A1-2"), 13000)
        assert other.session.seat_map(now()).value.states["A"] == "1100000000"
        assert other.session.hold(now(), ("A1-2",)).error == "conflict"
        assert fan.pays(hold).outcome is Outcome.OK
        standing = other.holds(2).value
        assert standing is not None
        assert other.pays(standing, "other").outcome is Outcome.OK
        reads = platform.final_reads((), 10.0)  # type: ignore[attr-defined]
        assert sorted((row.seat, row.pool, row.quantity) for row in reads.orders) == [
            ("", "standing", 2),
            ("A1-1", "", 1),
            ("A1-2", "", 1),
        ]
        assert sum(row.amount_cents for row in reads.orders) == 13000 + 9000


def test_a_wrong_token_leaves_the_exports_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    with direct() as (_, platform):
        assert platform.final_reads((), 5.0).orders == ()  # type: ignore[attr-defined]
    assert os.environ["LITTLE_SHOP_TOKEN"] == TOKEN
    monkeypatch.setenv("LITTLE_SHOP_TOKEN", "wrong")
    with direct() as (_, platform):
        reads = platform.final_reads((), 1.0)  # type: ignore[attr-defined]
        assert reads.orders is None
        assert any("401" in note for note in reads.notes)
