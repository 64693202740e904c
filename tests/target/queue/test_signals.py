"""The signal between holds and admission: counted in many processes, sent together, kept over an outage."""

from __future__ import annotations

import asyncio
import time

import pytest

from target.http.tickets import Signer
from target.queue import ConflictSignal
from target.queue.signals import HoldCounts
from target.runtime.breakers import UnavailableError
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from tests.target.booth import until
from tests.target.conftest import Valkey, free_port
from tests.target.processes import EVENT, SECRET, running
from tests.target.queue.test_queue_over_http import load_event

KEYS = Keys("e1")


def test_the_counts_of_all_processes_add_up(valkey: Valkey) -> None:
    async def main() -> None:
        stores = [RedisStore(valkey.url, timeout_s=30.0) for _ in range(3)]
        signals = [ConflictSignal(store, KEYS) for store in stores]
        assert await signals[0].read() == HoldCounts(0, 0)
        for signal in signals:
            for n in range(10):
                signal.count(conflict=n < 4)
            await signal.flush()
            await signal.flush()
        assert await signals[0].read() == HoldCounts(30, 12)
        for store in stores:
            await store.close()

    asyncio.run(main())


def test_what_cannot_be_sent_is_sent_later(mortal_valkey: Valkey) -> None:
    async def main() -> None:
        store = RedisStore(mortal_valkey.url, timeout_s=0.5)
        signal = ConflictSignal(store, KEYS)
        mortal_valkey.kill()
        signal.count(conflict=True)
        with pytest.raises(UnavailableError):
            await signal.flush()
        signal.count(conflict=False)
        job = asyncio.create_task(signal.run())
        mortal_valkey.start()
        probe = asyncio.create_task(store.guard.probe_forever(store.ping))

        async def arrived() -> bool:
            try:
                return await signal.read() == HoldCounts(2, 1)
            except UnavailableError:
                return False

        await until(arrived, what="the counts")
        for task in (job, probe):
            task.cancel()
        await asyncio.gather(job, probe, return_exceptions=True)
        await store.close()

    asyncio.run(main())


def test_every_hold_that_booking_decides_is_counted(valkey: Valkey) -> None:
    load_event(valkey)
    nowhere = f"postgresql://127.0.0.1:{free_port()}/none"

    async def counted(expected: HoldCounts) -> None:
        store = RedisStore(valkey.url, timeout_s=30.0)

        async def arrived() -> bool:
            return await ConflictSignal(store, Keys(EVENT)).read() == expected

        await until(arrived, what="the counts")
        await store.close()

    with running("booking", redis_url=valkey.url, primary_dsn=nowhere, replica_dsn=nowhere) as booking:
        for fan, status in (("a", 201), ("b", 409), ("c", 409)):
            own, _ = Signer(SECRET, EVENT).admit(fan, fan, admission_no=1, limit=1, entered_s=time.time())
            asked = booking.ask(
                "POST", f"/api/events/{EVENT}/holds", {"seats": ["101-A-1"]}, Authorization=f"Pass {own}"
            )
            assert asked.status == status
        refused = booking.ask("POST", f"/api/events/{EVENT}/holds", {"seats": ["101-A-2"]})
        assert refused.status == 401
        asyncio.run(counted(HoldCounts(3, 2)))
