"""Several processes of one backend, or of both, change the same few seats at once: nothing ever contradicts itself."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from target.roles.composition import HOLD_BACKENDS
from target.seats import HoldGoneError, Inventory, PurchaseLimitError, SeatsTakenError, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import Claimed
from tests.target.conftest import Valkey
from tests.target.seat_audit import audit

VENUE = load("arena", "e1")
KEYS = Keys("e1")
SEATS = tuple(f"101-A-{n}" for n in range(1, 7))
VERBS = ("hold", "hold", "hold", "release", "lock", "unlock", "restore", "mark_sold", "let_go", "expire", "audit")
NUMBERS = itertools.count()


@dataclass(frozen=True)
class Move:
    """`which`: of the holds asked for so far, by any process."""

    verb: str
    which: int
    seats: tuple[str, ...]
    identity: str


@dataclass
class Sale:
    """What the processes know of each other; `sold` stands for the unique (event, seat) of the truth."""

    claims: list[Claimed] = field(default_factory=list)
    sold: dict[str, str] = field(default_factory=dict)


moves = st.builds(
    Move,
    st.sampled_from(VERBS),
    st.integers(0, 50),
    st.sets(st.sampled_from(SEATS), min_size=1, max_size=3).map(lambda seats: tuple(sorted(seats))),
    st.sampled_from(("ann", "ben")),
)
mixes = pytest.mark.parametrize("mix", [("lua", "lua", "lua"), ("watch", "watch", "watch"), ("lua", "watch", "watch")])


@contextlib.asynccontextmanager
async def processes(valkey: Valkey, mix: Sequence[str], *, hold_ttl_s: float) -> AsyncIterator[list[Inventory]]:
    stores = [RedisStore(valkey.url, timeout_s=30.0) for _ in mix]
    inventories = [
        Inventory(redis, KEYS, VENUE, hold_ttl_s=hold_ttl_s, store=HOLD_BACKENDS[backend](redis, KEYS))
        for redis, backend in zip(stores, mix, strict=True)
    ]
    await inventories[0].load()
    try:
        yield inventories
    finally:
        await asyncio.gather(*(redis.close() for redis in stores))


async def play(inventory: Inventory, script: Sequence[Move], sale: Sale) -> None:
    for move in script:
        with contextlib.suppress(SeatsTakenError, PurchaseLimitError, HoldGoneError):
            await make(inventory, move, sale)


async def make(inventory: Inventory, move: Move, sale: Sale) -> None:
    if move.verb == "hold":
        claim = Claimed(f"h{next(NUMBERS)}", move.identity, move.identity, move.seats)
        sale.claims.append(claim)
        await inventory.hold(claim, limit=4)
    elif move.verb == "expire":
        await inventory.expire_due()
    elif move.verb == "audit":
        await audit(inventory._redis, KEYS, VENUE)
    elif sale.claims:
        await change(inventory, move.verb, sale.claims[move.which % len(sale.claims)], sale)


async def change(inventory: Inventory, verb: str, claim: Claimed, sale: Sale) -> None:
    match verb:
        case "release":
            await inventory.release(claim.hold_id, fan=claim.fan)
        case "lock":
            await inventory.lock(claim, until_s=time.time() + 0.02)
        case "unlock":
            await inventory.unlock(claim)
        case "restore":
            await inventory.restore(claim, until_s=time.time() + 0.02)
        case "let_go":
            await inventory.let_go(claim)
        case "mark_sold":
            if all(sale.sold.setdefault(seat, claim.hold_id) == claim.hold_id for seat in claim.seats):
                await inventory.mark_sold(claim)


@mixes
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    scripts=st.lists(st.lists(moves, min_size=3, max_size=12), min_size=3, max_size=3),
    ttl_s=st.sampled_from((0.002, 60.0)),
)
def test_no_interleaving_contradicts_itself(
    valkey: Valkey, mix: tuple[str, ...], scripts: list[list[Move]], ttl_s: float
) -> None:
    async def main() -> None:
        async with processes(valkey, mix, hold_ttl_s=ttl_s) as inventories:
            sale = Sale()
            await asyncio.gather(*map(play, inventories, scripts, itertools.repeat(sale)))
            first = inventories[0]
            await audit(first._redis, KEYS, VENUE)
            for claim in sale.claims:
                await first.let_go(claim)
            left = await audit(first._redis, KEYS, VENUE)
            assert not left.due
            assert set(left.map) <= {"0", "2"}

    valkey.empty()
    asyncio.run(main())


@mixes
def test_processes_never_share_a_seat_and_never_pass_the_limit(valkey: Valkey, mix: tuple[str, ...]) -> None:
    async def attempt(inventory: Inventory, seat: str, identity: str) -> str:
        claim = Claimed(f"h{next(NUMBERS)}", identity, identity, (seat,))
        try:
            await inventory.hold(claim, limit=4)
        except (SeatsTakenError, PurchaseLimitError) as error:
            return type(error).__name__
        return "ok"

    async def main() -> None:
        async with processes(valkey, mix, hold_ttl_s=60) as inventories:
            one_seat = [attempt(one, SEATS[0], f"fan{n}") for n in range(40) for one in inventories]
            assert Counter(await asyncio.gather(*one_seat)) == {"ok": 1, "SeatsTakenError": 119}
            greedy = [attempt(one, f"102-A-{n}", "greedy") for n in range(1, 11) for one in inventories]
            answers = Counter(await asyncio.gather(*greedy))
            assert answers["ok"] == 4
            dump = await audit(inventories[0]._redis, KEYS, VENUE)
            assert dump.bought["greedy"] == "4"

    asyncio.run(main())
