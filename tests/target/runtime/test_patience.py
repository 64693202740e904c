"""A time-out in a process that is late itself, and in one that is not. The event loop is a real one."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from target.runtime.patience import STEPS, Patience

WITHIN_S = 0.2


def test_what_never_comes_is_given_up_after_the_time() -> None:
    async def waits() -> float:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        with pytest.raises(TimeoutError):
            async with Patience(WITHIN_S):
                await loop.create_future()
        return loop.time() - begun_s

    assert asyncio.run(waits()) >= WITHIN_S * (STEPS - 1) / STEPS


def test_what_came_while_the_process_was_late_is_not_too_late() -> None:
    async def reads() -> bytes:
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)

        def is_late() -> None:
            theirs.sendall(b"here")
            time.sleep(2 * WITHIN_S)

        asyncio.get_running_loop().call_soon(is_late)
        async with Patience(WITHIN_S):
            read = await reader.readexactly(4)
        writer.close()
        theirs.close()
        return read

    assert asyncio.run(reads()) == b"here"


def test_it_is_over_with_its_block() -> None:
    async def leaves() -> None:
        async with Patience(0.01):
            pass
        await asyncio.sleep(0.05)

    asyncio.run(leaves())


def test_a_cancelled_task_stays_cancelled() -> None:
    async def cancelled() -> bool:
        async def waits() -> None:
            async with Patience(60):
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    assert asyncio.run(cancelled())
