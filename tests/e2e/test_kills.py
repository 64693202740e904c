"""Each process of the booking system is killed at a random moment while people buy, and started again.

Afterwards no seat is sold twice or was promised to two at once, no confirmation is lost, no hold is left over, and the
provider's ledger and the orders agree to the cent. `GATECRASH_KILL_SEEDS=20` does it with twenty seeds instead of two.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from harness.scenario import OnSale
from harness.stack import Addresses
from harness.stack.reference.embedded import EmbeddedStack
from tests.e2e.crowd import Crowd, Grant, Memory

pytestmark = pytest.mark.e2e

VICTIMS = ("booking", "worker", "feed-1", "valkey", "postgres-primary", "payments")
SEEDS = range(int(os.environ.get("GATECRASH_KILL_SEEDS", "2")))
SALE = OnSale(
    hold_ttl_s=3.0,
    admission_rate_per_s=200.0,
    admission_burst=200,
    payment_time_ms=30,
    challenge="none",
    joins_per_device=0,
    purchase_limit=4,
)
REST_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(SALE, tmp_path_factory.mktemp("logs")) as raised:
        yield raised


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_the_books_balance(stack: EmbeddedStack, seed: int) -> None:
    dice = random.Random(f"kills-{seed}")
    victims = dice.sample(VICTIMS, len(VICTIMS))
    asyncio.run(_sell_and_kill(stack, victims, dice, seed))


async def _sell_and_kill(stack: EmbeddedStack, victims: list[str], dice: random.Random, seed: int) -> None:
    addresses = stack.addresses
    crowd = Crowd(addresses, await _free_seats(addresses), seed=seed)
    async with crowd.buying() as memory:
        for victim in victims:
            sold = len(memory.confirmed)
            await asyncio.sleep(dice.uniform(0.2, 1.5))
            stack.process(victim).kill()
            await asyncio.sleep(dice.uniform(0.1, 1.5))
            stack.process(victim).start_again()
            await _sales_go_on(memory, sold)
    books = await _books_at_rest(addresses)
    _check(books, memory)


async def _sales_go_on(memory: Memory, sold: int) -> None:
    deadline = time.monotonic() + 30.0
    while len(memory.confirmed) <= sold + 2:
        assert time.monotonic() < deadline, f"nothing was sold after the kill; so far {memory}"
        await asyncio.sleep(0.05)


async def _free_seats(addresses: Addresses) -> list[str]:
    async with aiohttp.ClientSession() as session:
        return [seat for seat, state in (await _seat_map(session, addresses)).items() if state == "0"]


class _Books:
    """The order export, the provider's ledger and the seat map, at rest."""

    def __init__(self, orders: list[dict[str, Any]], ledger: list[dict[str, Any]], seats: dict[str, str]) -> None:
        self.orders = orders
        self.ledger = ledger
        self.seats = seats


async def _books_at_rest(addresses: Addresses) -> _Books:
    headers = {"authorization": f"Bearer {addresses.admin_token}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        await _rest(session, addresses)
        orders = await _lines(session, f"{addresses.admin}/admin/orders")
        ledger = await _lines(session, f"{addresses.ledger}/ledger")
        return _Books(orders, ledger, await _seat_map(session, addresses))


async def _seat_map(session: aiohttp.ClientSession, addresses: Addresses) -> dict[str, str]:
    base = f"{addresses.booking}/api/events/{addresses.event}"
    async with session.get(f"{base}/venue") as response:
        venue = await response.json()
    async with session.get(f"{base}/seats") as response:
        seats = await response.json()
    assert not seats["stale"]
    return _by_seat(venue, seats["states"])


async def _rest(session: aiohttp.ClientSession, addresses: Addresses) -> None:
    deadline = time.monotonic() + REST_WITHIN_S
    seen: dict[str, int] = {}
    while True:
        async with session.get(f"{addresses.admin}/admin/pending") as response:
            seen = await response.json(content_type=None)
            if response.status == 200 and not any(seen.values()):
                return
        assert time.monotonic() < deadline, f"not at rest after {REST_WITHIN_S} s: {seen}"
        await asyncio.sleep(0.2)


async def _lines(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(url) as response:
        assert response.status == 200
        return [json.loads(line) for line in (await response.text()).splitlines()]


def _by_seat(venue: dict[str, Any], states: dict[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for section in venue["sections"]:
        names = [f"{section['id']}-{row['id']}-{n}" for row in section["rows"] for n in range(1, row["seats"] + 1)]
        found |= dict(zip(names, states[section["id"]], strict=True))
    return found


def _check(books: _Books, memory: Memory) -> None:
    confirmed = [row for row in books.orders if row["state"] == "confirmed"]
    seats_of: dict[str, set[str]] = defaultdict(set)
    for row in confirmed:
        seats_of[row["order_id"]].add(row["seat"])

    twice = [seat for seat, count in Counter(row["seat"] for row in confirmed).items() if count > 1]
    assert not twice, f"sold twice: {twice}"

    _check_promises(memory.grants)

    lost = {order: seats for order, seats in memory.confirmed.items() if seats_of.get(order) != set(seats)}
    assert not lost, f"confirmed to a fan, but not in the books: {lost}"

    on_the_map = {seat for seat, state in books.seats.items() if state == "2"}
    assert on_the_map == {row["seat"] for row in confirmed}
    assert not [seat for seat, state in books.seats.items() if state == "1"], "held at rest"

    _check_money(books)


def _check_promises(grants: list[Grant]) -> None:
    """Nobody gives seats back or is declined, so each grant stands for its whole time."""
    newest: dict[str, Grant] = {}
    for grant in grants:
        for seat in grant.seats:
            earlier = newest.get(seat)
            assert earlier is None or grant.acked_s > earlier.until_s, f"{seat} was promised twice: {earlier}, {grant}"
            newest[seat] = grant


def _check_money(books: _Books) -> None:
    owed: Counter[str] = Counter()
    for row in books.orders:
        owed[row["order_id"]] += row["amount_cents"] if row["state"] == "confirmed" else 0
    kept: Counter[str] = Counter()
    for entry in books.ledger:
        sign = {"capture": 1, "refund": -1, "decline": 0}[entry["entry"]]
        kept[entry["order_id"]] += sign * entry["amount_cents"]
    wrong = {order: (owed[order], kept[order]) for order in owed.keys() | kept.keys() if owed[order] != kept[order]}
    assert not wrong, f"order: (owed, kept) in cents: {wrong}"
