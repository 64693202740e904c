"""The fault table of the design, row by row, on the embedded platform behind its fault proxies.

Each test breaks one edge, sees the breaker and its fallbacks in /status and in the metrics, sees what a fan sees, and
after the repair sees that what must hold has held.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import aiohttp
import pytest

from harness.scenario import OnSale
from harness.stack.reference.embedded import EmbeddedStack
from tests.target.conftest import eventually
from tests.target.feed.test_node import Spectator
from tests.target.platform_fixture import PATIENCE_S, Platform
from tests.target.processes import EVENT, EventStream

pytestmark = pytest.mark.e2e

HOLD_TTL_S = 3.0
SALE = OnSale(
    event=EVENT,
    hold_ttl_s=HOLD_TTL_S,
    admission_rate_per_s=0.001,  # nobody but the first is let in: the line stands still
    admission_floor_per_s=0.001,
    admission_burst=1,
    payment_time_ms=20,
    challenge="none",
    joins_per_device=0,
    purchase_limit=0,
)
OPEN_WITHIN_S = 10.0  # 2 s are promised, on a machine that is not busy
REDIS_FALLBACKS = (
    "ticket_while_redis_down",
    "paused_stream",
    "stale_seat_map",
    "refused_hold",
    "checkout_without_redis",
)

Sabotage = Callable[[Platform], AbstractContextManager[None]]


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with EmbeddedStack(SALE, tmp_path_factory.mktemp("logs")) as stack:
        platform = Platform(stack)
        platform.join("let-in")
        yield platform


@pytest.fixture(autouse=True)
def _whole(platform: Platform) -> None:
    platform.recovered()


REDIS_DOWN = {
    "refuse": lambda platform: platform.disabled("redis"),
    "hang": lambda platform: platform.hanging("redis"),
    "kill": lambda platform: platform.killed("valkey"),
}


@pytest.mark.parametrize("shape", REDIS_DOWN)
def test_redis_down(platform: Platform, shape: str) -> None:
    row = {"refuse": "A", "hang": "B", "kill": "C"}[shape]
    sold, wanted = f"101-{row}-1", f"101-{row}-2"
    early = platform.join(f"early-{shape}").json["ticket"]
    with EventStream(platform.booking.port, early) as stream:
        eventually(lambda: "position" in stream.names(), why="a position")
        hold = platform.hold("buyer", sold)
        assert hold.status == 201, hold.body
        with REDIS_DOWN[shape](platform):
            eventually(lambda: platform.breaker("redis") == "open", deadline_s=OPEN_WITHIN_S)
            paid = platform.pay("buyer", hold.json["hold_id"])  # first: the hold does not live long
            assert (paid.status, paid.json["state"]) == (201, "confirmed")
            assert platform.shows("redis", kinds=REDIS_FALLBACKS, in_force=True)
            joined = [platform.join(f"{name}-{shape}") for name in ("late", "later")]
            assert [(answer.status, answer.json["state"]) for answer in joined] == [(202, "paused")] * 2
            eventually(lambda: stream.names()[-1] == "paused", why="the stream to pause")
            assert not stream.ended
            seats = platform.seats()
            assert (seats["stale"], seats["source"]) == (True, "orders")
            refused = platform.hold("other", wanted)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert all(platform.used(kind) for kind in REDIS_FALLBACKS)
        platform.recovered()
        assert platform.shows("redis", kinds=REDIS_FALLBACKS, in_force=False)
        late, later = (answer.json["ticket"] for answer in joined)
        with EventStream(platform.booking.port, later) as behind, EventStream(platform.booking.port, late) as before:
            eventually(
                lambda: _position(stream) < _position(before) < _position(behind) < NOWHERE,
                deadline_s=PATIENCE_S,
                why="the order of the tickets",
            )
    eventually(lambda: _state(platform, sold) == "2", deadline_s=PATIENCE_S, why="the map to show what was sold")
    assert platform.hold("other", sold).status == 409
    assert platform.hold("other", wanted).status == 201


NOWHERE = 10**9


def _position(stream: EventStream) -> int:
    name, data = stream.events[-1][1:] if stream.events else ("", {})
    return int(data["position"]) if name == "position" else NOWHERE


def _state(platform: Platform, seat: str) -> str:
    """Of one of the first seats of a section's rows: 0 free, 1 held, 2 sold."""
    venue = platform.booking.ask("GET", f"{platform.base}/venue").json
    section_id, row_id, number = seat.split("-")
    section = next(each for each in venue["sections"] if each["id"] == section_id)
    before = 0
    for row in section["rows"]:
        if row["id"] == row_id:
            break
        before += row["seats"]
    return str(platform.seats()["states"][section_id][before + int(number) - 1])


def test_primary_unreachable_and_replica_stale(platform: Platform) -> None:
    waiting = platform.hold("slow", "102-A-1").json["hold_id"]
    with platform.toxic("payments", "latency", "downstream", latency=8000):
        pending = platform.pay("slow", waiting)
        assert pending.status == 202
        eventually(lambda: _replica_has(platform), deadline_s=PATIENCE_S, why="the replica")
        with platform.disabled("postgres_primary", "replication"):
            eventually(lambda: platform.breaker("db") == "open", deadline_s=OPEN_WITHIN_S)
            assert platform.shows("db", kinds=("parked_checkout", "stale_order"), in_force=True)
            hold = platform.hold("buyer", "102-A-2")
            parked = platform.pay("buyer", hold.json["hold_id"])
            assert (parked.status, parked.json["state"]) == (202, "pending")
            assert platform.hold("other", "102-A-3").status == 201
            old = platform.order("slow", pending.json["order_id"])
            assert (old.status, old.json["stale"]) == (200, True)
            assert platform.order("buyer", parked.json["order_id"]).json["state"] == "pending"
            eventually(lambda: time.time() > hold.json["expires_at"] + 1.5, why="the hold's time to be over")
            assert platform.hold("thief", "102-A-2").status == 409
            assert platform.ledger(parked.json["order_id"]) == []
            assert platform.used("parked_checkout")
            assert platform.used("stale_order")
    platform.recovered()
    assert platform.shows("db", kinds=("parked_checkout", "stale_order"), in_force=False)
    for fan, receipt in (("buyer", parked), ("slow", pending)):
        _is_confirmed(platform, fan, receipt.json["order_id"])


def _replica_has(platform: Platform) -> bool:
    return platform.status()["replica_lag_s"] == 0.0


def _is_confirmed(platform: Platform, fan: str, order_id: str) -> None:
    """In the end, and paid once."""
    eventually(
        lambda: platform.order(fan, order_id).json["state"] == "confirmed", deadline_s=PATIENCE_S, why="a confirmation"
    )
    assert platform.ledger(order_id) == ["capture"]


@pytest.mark.parametrize(("stream", "row"), [("downstream", "A"), ("upstream", "B")])
def test_payment_8_s(platform: Platform, stream: str, row: str) -> None:
    holds = [platform.hold("buyer", f"103-{row}-1").json]
    with platform.toxic("payments", "latency", stream, latency=8000):
        receipts = [platform.pay("buyer", holds[0]["hold_id"])]
        eventually(lambda: platform.breaker("payments") == "open", deadline_s=2 * OPEN_WITHIN_S)
        assert platform.shows("payments", kinds=("pending_payment",), in_force=True)
        holds.append(platform.hold("buyer", f"103-{row}-2").json)
        receipts.append(platform.pay("buyer", holds[1]["hold_id"]))
        assert [(receipt.status, receipt.json["state"]) for receipt in receipts] == [(202, "pending")] * 2
        assert all(receipt.headers["retry-after"] for receipt in receipts)
        assert platform.hold("other", f"103-{row}-3").status == 201
        assert not platform.seats()["stale"]
        eventually(lambda: time.time() > holds[1]["expires_at"] + 1.5, why="the holds' time to be over")
        for n in (1, 2):
            assert platform.hold("thief", f"103-{row}-{n}").status == 409
        assert platform.used("pending_payment") >= 2
    platform.recovered()
    assert platform.shows("payments", kinds=("pending_payment",), in_force=False)
    for receipt in receipts:
        _is_confirmed(platform, "buyer", receipt.json["order_id"])


def test_websocket_drops(platform: Platform) -> None:
    asyncio.run(_drop_and_return(platform))


async def _drop_and_return(platform: Platform) -> None:
    async with aiohttp.ClientSession() as session:
        spectators = [await _follow(session, feed) for feed in platform.stack.addresses.feeds]
        for spectator in spectators:
            await spectator.hear()
        for proxy in ("feed_1", "feed_2"):
            await asyncio.to_thread(platform.drop_sockets, proxy)
        for spectator in spectators:
            await _hear_the_end(spectator)
        hold = await asyncio.to_thread(platform.hold, "buyer", "104-A-1", "104-A-2")
        assert hold.status == 201
        for spectator, feed in zip(spectators, reversed(platform.stack.addresses.feeds), strict=True):
            query = f"?epoch={spectator.epoch}&last_seq={spectator.seq}"
            spectator.socket = await session.ws_connect(f"{feed}/feed/{EVENT}{query}")
            spectator.kinds.clear()
            while spectator.seats.get("104-A-2") != 1:
                await spectator.hear()
            assert set(spectator.kinds) <= {"seat", "score"}  # what was missed, and no snapshot
            await spectator.socket.close()


async def _hear_the_end(spectator: Spectator) -> None:
    while (await spectator.socket.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.TEXT:
        pass


async def _follow(session: aiohttp.ClientSession, feed: str) -> Spectator:
    return Spectator(await session.ws_connect(f"{feed}/feed/{EVENT}"))
