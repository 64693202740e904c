"""A fixed and an adaptive rate of admission on the same spikes: conflicts, time to sell out, fans' time in checkout.

`python -m tests.bench.admission`. One process, a real Valkey, the booking system's own waiting room, position streams,
admission loop, signal and inventory; fans are coroutines with the same seeded dice in both modes. All join before the
opening. Whoever is let in looks at the map, thinks, and asks for two of the best free seats they saw; a conflict sends
them back to the map. In the `hot` spike all want the best third, in the `wide` one any seat will do: for the first the
fixed rate is too fast, for the second too slow. One fan in ten never comes. Postgres and the provider are left out:
paying is a pause. A sale that is not over within LIMIT_S says so by its `seats_sold`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from target.http.tickets import Ticket
from target.queue import AdmissionController, ConflictSignal, RatePolicy, StreamHub, WaitingRoom
from target.queue.rate_policy import AdaptiveRate, FixedRate
from target.queue.rules import Rules
from target.seats import Inventory, SeatsTakenError, Venue
from target.seats.venue import Layout, Row, Section
from target.storage.keys import SEAT_FREE, Keys
from target.storage.redis import RedisStore
from tests.bench import rounds
from tests.target.conftest import Valkey

FANS = 2_000
SEATS = 2_400
PARTY = 2
WANTED = {"hot": 800, "wide": SEATS}  # spike → a fan chooses among so many of the best free seats
SIDES = ("fixed-hot", "adaptive-hot", "fixed-wide", "adaptive-wide")
FIRST_RATE_PER_S = 60.0
FLOOR_PER_S, CEILING_PER_S = 10.0, 120.0
BURST = 10
CONFLICT_TARGET = 0.1
THINK_S, THINK_SIGMA = 0.6, 0.4
PAY_S, PAY_SIGMA = 1.0, 0.3
NO_SHOW_RATIO = 0.1
GATHER_S = 3.0
LIMIT_S = 100.0
ROUNDS = 3
EVENT = "bench"


@dataclass
class Sale:
    """The parts of one sale, and what happened in it. Times are monotonic s."""

    room: WaitingRoom
    hub: StreamHub
    inventory: Inventory
    signal: ConflictSignal
    redis: RedisStore
    venue: Venue
    opened_s: float
    wanted: int
    holds: int = 0
    conflicts: int = 0
    sold_s: list[float] = field(default_factory=list)
    checkouts_s: list[float] = field(default_factory=list)
    empty_handed: int = 0

    @property
    def sold_out(self) -> bool:
        """Every pair of seats is paid for."""
        return len(self.sold_s) * PARTY >= SEATS


@dataclass(frozen=True)
class Claim:
    """What a fan asks for."""

    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]


def venue() -> Venue:
    """One section of the wanted size, the best seats first."""
    rows = tuple(Row(chr(ord("A") + n), SEATS // 24, "all") for n in range(24))
    return Venue(Layout(EVENT, "bench", "USD", SEATS, {"all": 1000}, (Section("S", "lower", rows),)))


def policy(side: str) -> RatePolicy:
    """The mode under test."""
    if side.startswith("fixed"):
        return FixedRate(FIRST_RATE_PER_S, BURST)
    limits = {"floor_per_s": FLOOR_PER_S, "ceiling_per_s": CEILING_PER_S}
    return AdaptiveRate(FIRST_RATE_PER_S, BURST, target_ratio=CONFLICT_TARGET, **limits)


async def visit(sale: Sale, number: int) -> None:
    """One fan, from joining to a ticket or to leaving without one."""
    dice, name = random.Random(number), f"fan-{number}"
    place = await sale.room.join(name, name)
    ticket = Ticket(EVENT, name, name, place.joined_us, math.inf)
    stream = sale.hub.open(ticket)
    while await stream.next():
        pass
    if dice.random() < NO_SHOW_RATIO:
        return
    await sale.room.enter(ticket)
    entered_s = time.monotonic()
    if await choose(sale, name, dice):
        sale.sold_s.append(time.monotonic())
        sale.checkouts_s.append(time.monotonic() - entered_s)
    else:
        sale.empty_handed += 1


async def choose(sale: Sale, name: str, dice: random.Random) -> bool:
    """Looks, thinks and asks until the seats are held and paid for; False when none are free any more."""
    attempt = 0
    while free := await free_seats(sale):
        await asyncio.sleep(dice.lognormvariate(math.log(THINK_S), THINK_SIGMA))
        attempt += 1
        claim = Claim(f"{name}-{attempt}", name, name, tuple(dice.sample(free, min(PARTY, len(free)))))
        sale.holds += 1
        try:
            await sale.inventory.hold(claim, limit=0)
        except SeatsTakenError:
            sale.conflicts += 1
            sale.signal.count(conflict=True)
            continue
        sale.signal.count(conflict=False)
        await asyncio.sleep(dice.lognormvariate(math.log(PAY_S), PAY_SIGMA))
        await sale.inventory.mark_sold(claim)
        return True
    return False


async def free_seats(sale: Sale) -> list[str]:
    """The best free seats now."""
    states = (await sale.redis.command("GET", Keys(EVENT).map)).decode()
    free = [seat for seat, state in zip(sale.venue.seats, states, strict=True) if state == SEAT_FREE]
    return free[: sale.wanted]


async def sell(side: str, url: str) -> dict[str, float]:
    """One whole sale."""
    redis, keys, arena = RedisStore(url, timeout_s=5.0), Keys(EVENT), venue()
    inventory, signal = Inventory(redis, keys, arena, hold_ttl_s=60), ConflictSignal(redis, keys)
    await inventory.load()
    room = WaitingRoom(redis, keys, Rules(opens_at_us=round((time.time() + GATHER_S) * 1e6)))
    hub = StreamHub(room, rate_per_s=CEILING_PER_S)
    wanted = WANTED[side.partition("-")[2]]
    sale = Sale(room, hub, inventory, signal, redis, arena, time.monotonic() + GATHER_S, wanted)
    controller = AdmissionController(room, policy(side), signal, EVENT)
    jobs = [asyncio.create_task(job) for job in (hub.run(), signal.run(), controller.run())]
    fans = [asyncio.create_task(visit(sale, number)) for number in range(FANS)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*fans)
    for task in (*fans, *jobs):
        task.cancel()
    await asyncio.gather(*fans, *jobs, return_exceptions=True)
    await redis.close()
    return figures(sale)


def figures(sale: Sale) -> dict[str, float]:
    """What is reported of one sale."""
    twentieths = statistics.quantiles(sale.checkouts_s, n=20)
    return {
        "holds_tried": sale.holds,
        "conflict_ratio": round(sale.conflicts / sale.holds, 4),
        "conflicts_per_sale": round(sale.conflicts / len(sale.sold_s), 3),
        "seats_sold": len(sale.sold_s) * PARTY,
        "sold_out_s": round(max(sale.sold_s) - sale.opened_s, 2) if sale.sold_out else LIMIT_S,
        "half_sold_s": round(sorted(sale.sold_s)[SEATS // PARTY // 2 - 1] - sale.opened_s, 2),
        "checkout_p50_s": round(twentieths[9], 2),
        "checkout_p95_s": round(twentieths[18], 2),
        "empty_handed": sale.empty_handed,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.admission")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    if asked.side:
        with tempfile.TemporaryDirectory() as folder:
            server = Valkey(Path(folder))
            server.start()
            try:
                print(json.dumps(asyncio.run(sell(asked.side, server.url))))
            finally:
                server.kill()
        return 0
    all_rounds = rounds.paired("tests.bench.admission", SIDES, asked.rounds)
    middle = {side: rounds.medians(figures) for side, figures in all_rounds.items()}
    document = {
        "what": f"{FANS} fans, {SEATS} seats, first rate {FIRST_RATE_PER_S:.0f}/s, target {CONFLICT_TARGET:.0%}",
        **middle,
        "rounds": all_rounds,
    }
    path = rounds.write("admission", document)
    for side, one in middle.items():
        print(
            f"{side}: {one['conflict_ratio']:.0%} of holds met a taken seat, sold out in {one['sold_out_s']:.0f} s, "
            f"checkout p50 {one['checkout_p50_s']:.1f} s, p95 {one['checkout_p95_s']:.1f} s"
        )
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
