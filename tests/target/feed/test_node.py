"""A feed node as its own process, over WebSocket, while seats change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest

from target.roles.worker import score_ticker
from target.runtime.breakers import UnavailableError
from target.seats import Inventory, SeatStream, load
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import EVENT, Claimed, until
from tests.target.conftest import Valkey
from tests.target.processes import running

VENUE = load("arena", EVENT)
Launch = Callable[..., int]  # (valkey, bug) → the node's port


@dataclass
class Spectator:
    """A client that keeps a picture of the seats and fails on any gap."""

    socket: aiohttp.ClientWebSocketResponse
    epoch: str = ""
    seq: int = -1
    seats: dict[str, int] = field(default_factory=dict)
    kinds: list[str] = field(default_factory=list)

    async def hear(self) -> str:
        message = msgspec.json.decode((await self.socket.receive(timeout=30)).data)
        kind = str(message["type"])
        self.kinds.append(kind)
        if kind == "snapshot":
            self.epoch, self.seq, self.seats = message["epoch"], message["seq"], message["seats"]
        elif kind == "seat":
            assert (message["epoch"], message["seq"]) == (self.epoch, self.seq + 1)
            self.seq = message["seq"]
            self.seats[message["seat"]] = message["state"]
        return kind

    async def hear_until(self, seq: int) -> None:
        while self.seq < seq:
            await self.hear()

    def not_free(self) -> dict[str, int]:
        return {seat: state for seat, state in self.seats.items() if state}


class Scene:
    """A Valkey with seats, a feed node on it, and spectators."""

    def __init__(self, inventory: Inventory, redis: RedisStore, session: aiohttp.ClientSession, port: int) -> None:
        self.inventory = inventory
        self.redis = redis
        self._session = session
        self._port = port

    @asynccontextmanager
    async def spectator(self, epoch: str = "", last_seq: int | None = None) -> AsyncIterator[Spectator]:
        query = "" if last_seq is None else f"?epoch={epoch}&last_seq={last_seq}"
        async with self._session.ws_connect(f"http://127.0.0.1:{self._port}/feed/{EVENT}{query}") as socket:
            yield Spectator(socket, epoch, -1 if last_seq is None else last_seq)

    async def hold(self, *seats: str) -> Claimed:
        claim = Claimed(f"h-{seats[0]}-{seats[-1]}", "f", "f", seats)
        await self.inventory.hold(claim, limit=0)
        return claim

    async def changes(self) -> int:
        newest = await SeatStream(self.redis, Keys(EVENT)).newest()
        return newest[1] if newest else 0


@pytest.fixture
def launch() -> Iterator[Launch]:
    """Starts feed nodes; returns their ports."""
    with ExitStack() as started:
        yield (
            lambda valkey, bug="": (
                started.enter_context(running("feed", node="feed-1", redis_url=valkey.url, bug=bug)).port
            )
        )


def play(valkey: Valkey, port: int, scene: Callable[[Scene], Awaitable[None]]) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        inventory = Inventory(redis, Keys(EVENT), VENUE, hold_ttl_s=60.0)
        try:
            if not await inventory.loaded():
                await inventory.load()
            async with aiohttp.ClientSession() as session:
                await scene(Scene(inventory, redis, session, port))
        finally:
            await redis.close()

    asyncio.run(main())


def test_a_snapshot_then_every_change(valkey: Valkey, launch: Launch) -> None:
    async def scene(it: Scene) -> None:
        await it.hold("101-A-1")
        async with it.spectator() as spectator:
            assert await spectator.hear() == "snapshot"
            assert spectator.not_free() == {"101-A-1": 1}
            claim = await it.hold("101-A-2", "101-A-3")
            await it.inventory.mark_sold(claim)
            await spectator.hear_until(5)
            assert spectator.not_free() == {"101-A-1": 1, "101-A-2": 2, "101-A-3": 2}

    play(valkey, launch(valkey), scene)


def test_clients_that_come_while_seats_change_have_no_gap(valkey: Valkey, launch: Launch) -> None:
    settled: list[str] = []  # one for each client that has come and gone once

    async def churn(it: Scene, row: str) -> None:
        while len(settled) < 12:
            for seat in VENUE.seats[:40]:
                if f"-{row}-" in seat:
                    claim = await it.hold(seat)
                    await it.inventory.release(claim.hold_id, fan="f")

    async def watch(it: Scene, delay_s: float, final: asyncio.Future[int]) -> dict[str, int]:
        await asyncio.sleep(delay_s)
        async with it.spectator() as first:
            for _ in range(10):
                await first.hear()
        settled.append(first.epoch)
        async with it.spectator(first.epoch, first.seq) as again:
            again.seats = first.seats
            while not final.done() or again.seq < final.result():
                await again.hear()
            assert "resync" not in again.kinds
            return again.not_free()

    async def scene(it: Scene) -> None:
        final: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        watching = [asyncio.create_task(watch(it, n * 0.03, final)) for n in range(12)]
        await asyncio.gather(churn(it, "A"), churn(it, "B"))
        final.set_result(await it.changes() + 1)
        await it.hold("104-C-12")
        assert await asyncio.gather(*watching) == [{"104-C-12": 1}] * 12

    play(valkey, launch(valkey), scene)


def test_a_client_goes_on_at_a_node_that_has_just_started(valkey: Valkey, launch: Launch) -> None:
    async def scene(it: Scene) -> None:
        epoch = (await it.redis.command("GET", Keys(EVENT).epoch)).decode()
        async with it.spectator(epoch, 3) as spectator:
            await spectator.hear_until(10)
            assert spectator.kinds == ["seat"] * 7

    async def populate() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        inventory = Inventory(redis, Keys(EVENT), VENUE, hold_ttl_s=60.0)
        await inventory.load()
        for number, seat in enumerate(VENUE.seats[:10]):
            await inventory.hold(Claimed(f"h{number}", "f", "f", (seat,)), limit=0)
        await redis.close()

    asyncio.run(populate())
    play(valkey, launch(valkey), scene)


def test_lost_history_and_a_new_epoch_are_said_and_not_skipped(mortal_valkey: Valkey, launch: Launch) -> None:
    async def scene(it: Scene) -> None:
        await it.hold("101-A-1")
        async with it.spectator("another", 5) as spectator, it.spectator() as open_all_along:
            assert [await spectator.hear(), await spectator.hear()] == ["resync", "snapshot"]
            assert await open_all_along.hear() == "snapshot"
            mortal_valkey.kill()
            mortal_valkey.start()
            await _reload(it)
            assert [await open_all_along.hear(), await open_all_along.hear()] == ["resync", "snapshot"]
            assert open_all_along.epoch != ""
            assert open_all_along.not_free() == {}
            await it.hold("101-A-2")
            await open_all_along.hear_until(1)
            assert open_all_along.not_free() == {"101-A-2": 1}

    play(mortal_valkey, launch(mortal_valkey), scene)


def test_scores_are_passed_on(valkey: Valkey, launch: Launch) -> None:
    async def scene(it: Scene) -> None:
        async with it.spectator() as spectator:
            assert await spectator.hear() == "snapshot"
            ticking = asyncio.create_task(score_ticker(it.redis, EVENT))
            assert await spectator.hear() == "score"
            ticking.cancel()

    play(valkey, launch(valkey), scene)


def test_the_planted_bug_leaves_a_gap(valkey: Valkey, launch: Launch) -> None:
    async def scene(it: Scene) -> None:
        async with it.spectator() as spectator:
            await spectator.hear()
            for seat in VENUE.seats[:60]:
                await it.hold(seat)
            with pytest.raises(AssertionError):
                await spectator.hear_until(60)

    play(valkey, launch(valkey, "dropped_event"), scene)


async def _reload(it: Scene) -> None:
    """What the reconciler does after Redis lost its data."""

    async def done() -> bool:
        try:
            return await it.inventory.load()
        except UnavailableError:
            return False

    await until(done, what="Redis")
