"""Durable confirmed bookings per second on one shard, through the whole saga, with a provider that answers at once.

`python -m tests.bench.bookings`. Three sides, each on fresh servers without fault proxies in between:

    insert  the limit: the order's and the seat's row alone, by the saga's own statement, over a pool as large
    saga    hold → lock → intent → charge → confirm → sold, in one process, with Valkey, Postgres and the provider
    http    the same asked for over HTTP of one booking process: POST …/holds, POST …/orders

The load generator runs beside them on the same cores. `cpu_ms` says what a booking costs in each process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import msgspec
import psutil
import uvloop

from harness.processes.managed import stop_all
from harness.processes.ports import free_ports
from harness.stack.reference import workspace
from harness.stack.reference.databases import Postgres
from target.http.tickets import Signer
from target.orders import OrderState
from target.orders import sql as orders_sql
from target.orders.orders import Checkout, order_id_for
from target.roles.composition import checkouts_of, compose_all
from target.roles.prepare import prepare
from target.seats import load
from target.settings import Settings
from target.storage.migrate import migrate_postgres
from tests.bench import rounds
from tests.bench.line import Line, post
from tests.target.conftest import Valkey
from tests.target.processes import EVENT, SECRET, Server, running

BOOKINGS = 6_000
AT_ONCE = 64
WARM_UP = 300
SIDES = ("insert", "saga", "http")
ROUNDS = 3

Book = Callable[[int], Awaitable[None]]


@dataclass(frozen=True)
class Platform:
    """What a side is run against. `processes`: name → process id, for their CPU time."""

    settings: Settings
    booking: Server | None
    processes: dict[str, int]


@contextlib.contextmanager
def platform(*, with_booking: bool) -> Iterator[Platform]:
    """Valkey, a Postgres that also stands in for its replica, the provider; with a booking process or without."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        valkey = Valkey(folder)
        valkey.start()
        stack.callback(valkey.kill)
        root = workspace.create()
        stack.callback(workspace.remove, root)
        postgres, [port] = Postgres(root, folder), free_ports(1)
        postgres.initialise().wait_success(within_s=30)
        primary = postgres.start_primary(port)
        stack.callback(stop_all, [primary], within_s=5)
        provider = stack.enter_context(
            running("payments", node="payments", ledger_path=folder / "ledger.sqlite", payment_time_ms=0)
        )
        edges = {
            "redis_url": valkey.url,
            "primary_dsn": postgres.dsn(port),
            "replica_dsn": postgres.dsn(port),
            "payments_url": f"http://127.0.0.1:{provider.port}",
            "dependency_timeout_s": 10.0,
            "payment_timeout_s": 10.0,
        }
        settings = Settings(event=EVENT, secret=SECRET, **edges)
        asyncio.run(prepare(settings))
        processes = {"valkey": valkey.process.pid, "postgres": primary.pid, "provider": provider.process.pid}
        booking = stack.enter_context(running("booking", **edges)) if with_booking else None
        if booking is not None:
            processes["booking"] = booking.process.pid
        yield Platform(settings, booking, processes)


def seats() -> Iterator[str]:
    return iter(load("arena", EVENT).seats)


def checkout_of(hold_id: str, number: int, seat: str) -> Checkout:
    fan = f"fan-{number}"
    return Checkout(
        order_id=order_id_for(EVENT, fan, "key"),
        event=EVENT,
        fan=fan,
        identity=fan,
        hold_id=hold_id,
        idempotency_key="key",
        card="ok",
        seats=(seat,),
        prices_cents=(10_000,),
    )


@contextlib.asynccontextmanager
async def inserting(platform: Platform) -> AsyncIterator[Book]:
    await migrate_postgres(platform.settings.primary_dsn)
    pool = await asyncpg.create_pool(platform.settings.primary_dsn, min_size=16, max_size=16)
    free = seats()

    async def book(number: int) -> None:
        checkout = checkout_of(f"hold-{number}", number, next(free))
        row = (checkout.order_id, EVENT, checkout.fan, checkout.identity, checkout.hold_id, "key", "ok", 10_000, 6.0)
        await pool.execute(orders_sql.CREATE, *row, list(checkout.seats), list(checkout.prices_cents), 0)

    try:
        yield book
    finally:
        pool.terminate()


@contextlib.asynccontextmanager
async def by_saga(platform: Platform) -> AsyncIterator[Book]:
    connections, [context] = compose_all(platform.settings)
    saga, free = checkouts_of(context).saga, seats()
    await connections.open()

    async def book(number: int) -> None:
        fan, seat = f"fan-{number}", next(free)
        hold_id = context.signer.hold_id(fan, fan, (seat,), time.time() + 600)
        checkout = checkout_of(hold_id, number, seat)
        await context.inventory.hold(checkout, limit=4)
        receipt = await saga.checkout(checkout, hold_expires_at_s=time.time() + 600)
        assert receipt.state is OrderState.CONFIRMED, receipt

    try:
        yield book
    finally:
        await connections.close()


@contextlib.asynccontextmanager
async def over_http(platform: Platform) -> AsyncIterator[Book]:
    assert platform.booking is not None
    signer, free = Signer(SECRET, EVENT), seats()
    idle: asyncio.Queue[Line] = asyncio.Queue()
    for _ in range(AT_ONCE):
        idle.put_nowait(Line(*await asyncio.open_connection("127.0.0.1", platform.booking.port)))

    async def book(number: int) -> None:
        fan = f"fan-{number}"
        given, _ = signer.admit(fan, fan, admission_no=number, limit=4, entered_s=time.time())
        line = await idle.get()
        headers = {"authorization": f"Pass {given}", "idempotency_key": "key"}
        asked = post(f"/api/events/{EVENT}/holds", {"seats": [next(free)]}, **headers)
        held = msgspec.json.decode(await line.ask(asked, status="201"))
        asked = post(f"/api/events/{EVENT}/orders", {"hold_id": held["hold_id"], "card": "ok"}, **headers)
        order = msgspec.json.decode(await line.ask(asked, status="201"))
        assert order["state"] == "confirmed", order
        idle.put_nowait(line)

    try:
        yield book
    finally:
        while not idle.empty():
            idle.get_nowait().close()


BOOKERS = {"insert": inserting, "saga": by_saga, "http": over_http}


async def measure(side: str, platform: Platform) -> dict[str, float]:
    numbers = itertools.count()
    async with BOOKERS[side](platform) as book:
        await rush(book, numbers, WARM_UP)
        before = {name: cpu_s(pid) for name, pid in platform.processes.items()}
        own_before_s = time.process_time()
        started_s = time.perf_counter()
        latencies_s = sorted(await rush(book, numbers, BOOKINGS))
        took_s = time.perf_counter() - started_s
        spent_s = {name: cpu_s(pid) - before[name] for name, pid in platform.processes.items()}
        spent_s["bench"] = time.process_time() - own_before_s
    return {
        "bookings_per_s": round(BOOKINGS / took_s, 1),
        "p50_ms": round(latencies_s[BOOKINGS // 2] * 1000, 2),
        "p99_ms": round(latencies_s[BOOKINGS * 99 // 100] * 1000, 2),
        **{f"cpu_ms_{name}": round(each_s * 1000 / BOOKINGS, 3) for name, each_s in spent_s.items()},
    }


async def rush(book: Book, numbers: Iterator[int], count: int) -> list[float]:
    """`count` bookings, `AT_ONCE` at a time; the latency of each in s."""
    latencies_s: list[float] = []

    async def lane() -> None:
        while len(latencies_s) + in_flight[0] < count:
            in_flight[0] += 1
            started_s = time.perf_counter()
            await book(next(numbers))
            latencies_s.append(time.perf_counter() - started_s)
            in_flight[0] -= 1

    in_flight = [0]
    await asyncio.gather(*(lane() for _ in range(AT_ONCE)))
    return latencies_s


def cpu_s(pid: int) -> float:
    """CPU time of a process and its children, also those that have ended."""
    process = psutil.Process(pid)
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    own = process.cpu_times()
    return sum(one.user + one.system for one in times) + own.children_user + own.children_system


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bookings")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        with platform(with_booking=asked.side == "http") as raised:
            print(json.dumps(uvloop.run(measure(asked.side, raised))))
        return 0
    figures = rounds.paired("tests.bench.bookings", SIDES, asked.rounds)
    middle = {side: rounds.medians(all_rounds) for side, all_rounds in figures.items()}
    limit = middle["insert"]["bookings_per_s"]
    document = {
        "what": f"durable confirmed bookings of one seat per second, {AT_ONCE} at once, against the bare insert",
        **middle,
        "saga_to_insert": round(middle["saga"]["bookings_per_s"] / limit, 3),
        "http_to_insert": round(middle["http"]["bookings_per_s"] / limit, 3),
        "rounds": figures,
    }
    path = rounds.write("bookings", document)
    told = ", ".join(f"{side} {middle[side]['bookings_per_s']:.0f}" for side in SIDES)
    print(f"bookings per second: {told} ({path})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
