"""Parked checkouts on disk: nothing that was told "pending" is lost with Redis or with the booking process."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from target.orders import JournalReplay, OrderState, ParkingJournal
from target.orders.orders import Checkout
from target.roles.composition import checkouts_of
from target.runtime.breakers import UnavailableError
from tests.target.booth import Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.gate import gate_to
from tests.target.postgres_fixture import Truth
from tests.target.provider_fixture import Provider


def checkout(number: int) -> Checkout:
    return Checkout(
        order_id=f"o{number}",
        event="e1",
        fan="f",
        identity="f",
        hold_id="h",
        idempotency_key="k",
        card="ok",
        seats=("101-A-1",),
        prices_cents=(500,),
    )


def opened(folder: Path, event: str = "e1") -> ParkingJournal:
    journal = ParkingJournal(str(folder), event)
    journal.open()
    return journal


def test_what_was_added_and_not_removed_is_there_after_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(tmp_path)
        await asyncio.gather(*(journal.add(checkout(n)) for n in range(50)))
        for number in range(0, 50, 2):
            journal.remove(f"o{number}")
        journal.close()
        assert {each.order_id for each in opened(tmp_path).all()} == {f"o{n}" for n in range(1, 50, 2)}

    asyncio.run(main())


def test_lines_are_written_in_groups(tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(tmp_path)
        before = len(_lines(tmp_path))
        await asyncio.gather(*(journal.add(checkout(n)) for n in range(100)))
        groups = [line for line in _lines(tmp_path)[before:] if not line]  # each begins with an empty line
        assert len(groups) <= 3
        assert len(journal.all()) == 100

    asyncio.run(main())


def test_a_torn_line_costs_only_itself(tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(tmp_path)
        await journal.add(checkout(1))
        journal.close()
        (path,) = (tmp_path / "e1").iterdir()
        path.write_bytes(path.read_bytes() + b'{"parked":{"order_id":"o2","ev')
        again = opened(tmp_path)
        await again.add(checkout(3))
        again.close()
        assert [each.order_id for each in opened(tmp_path).all()] == ["o1", "o3"]

    asyncio.run(main())


def test_processes_and_events_share_the_folder_and_the_next_takes_over_from_the_dead(tmp_path: Path) -> None:
    async def main() -> None:
        first, second, other = opened(tmp_path), opened(tmp_path), opened(tmp_path, "e1-b")
        await asyncio.gather(first.add(checkout(1)), second.add(checkout(2)), other.add(checkout(3)))
        first.close()
        third = opened(tmp_path)
        assert [each.order_id for each in third.all()] == ["o1"]
        third.close()
        second.close()
        heir = opened(tmp_path)
        assert {each.order_id for each in heir.all()} == {"o1", "o2"}
        heir.close()
        assert {each.order_id for each in opened(tmp_path).all()} == {"o1", "o2"}
        assert len(list((tmp_path / "e1").iterdir())) == 2

    asyncio.run(main())


def test_an_empty_journal_takes_no_room(tmp_path: Path) -> None:
    async def main() -> None:
        journal = opened(tmp_path)
        for number in range(10):
            await journal.add(checkout(number))
        for number in range(10):
            journal.remove(f"o{number}")
        assert [path.stat().st_size for path in (tmp_path / "e1").iterdir()] == [0]

    asyncio.run(main())


def test_what_is_parked_comes_home_though_redis_lost_it_and_the_process_died(
    mortal_valkey: Valkey, truth: Truth, provider: Provider, tmp_path: Path
) -> None:
    async def main() -> None:
        async with gate_to(truth.primary_port) as gate:
            dsn = truth.primary_dsn.replace(str(truth.primary_port), str(gate.port))
            settings = settings_for(
                mortal_valkey, truth, provider, primary_dsn=dsn, dependency_timeout_s=5.0, parking_path=str(tmp_path)
            )
            async with booth_on(settings) as booth:
                booth.context.parking.journal.open()
                claim = await booth.hold("f", "101-A-1")
                asked = booth.checkout(claim)
                await gate.shut()
                parked = await booth.pay(claim)
                assert parked.state is OrderState.PENDING
                await booth.context.redis.command("FLUSHALL")
                found, stale = await booth.saga.find(parked.order_id)
                assert (found, stale) == (asked, True)
                booth.context.parking.journal.close()  # as the end of the process does
            async with booth_on(settings, load=False) as heir:
                heir.context.parking.journal.open()
                replay = JournalReplay(heir.checkouts)
                await replay.replay()
                assert await heir.checkouts.parking.all() == [asked]  # others find it again
                mortal_valkey.kill()
                await gate.open()
                await until(lambda: _replayed(replay, heir), what="the journal to be empty")
                await heir.jobs.recover()
                order = await heir.orders.find(parked.order_id)
                assert order is not None
                assert order.state is OrderState.CONFIRMED
                assert provider.entries(parked.order_id) == ["capture"]

    asyncio.run(main())


def test_a_full_journal_refuses_before_anything_is_promised(
    valkey: Valkey, truth: Truth, provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("target.orders.parking_journal.ENTRIES_MAX", 1)

    async def main() -> None:
        async with booth_on(settings_for(valkey, truth, provider, parking_path=str(tmp_path))) as booth:
            parking = checkouts_of(booth.context).parking
            parking.journal.open()
            await parking.park(checkout(1))
            with pytest.raises(UnavailableError, match="too many"):
                await parking.park(checkout(2))
            assert [each.order_id for each in await parking.all()] == ["o1"]

    asyncio.run(main())


async def _replayed(replay: JournalReplay, booth: Booth) -> bool:
    with contextlib.suppress(UnavailableError):  # Redis is away, or the primary still is
        await replay.replay()
    return not booth.context.parking.journal.all()


def _lines(folder: Path) -> list[object]:
    (path,) = (folder / "e1").iterdir()
    return [json.loads(line) if line else None for line in path.read_bytes().splitlines()]
