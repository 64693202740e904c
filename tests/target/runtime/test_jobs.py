"""Endless jobs: no error ends one, and the end of the process ends all."""

from __future__ import annotations

import asyncio
import logging

import pytest

from target.runtime.breakers import UnavailableError
from target.runtime.jobs import beside, every, lasting


class Flaky:
    """A job that fails at first in the two ways that jobs fail, and then goes on."""

    def __init__(self) -> None:
        self.begun = 0
        self.going = asyncio.Event()

    async def run(self) -> None:
        self.begun += 1
        if self.begun == 1:
            raise UnavailableError("redis", "away", maybe_done=False)
        if self.begun == 2:
            raise ValueError("an answer that nobody thought of")
        self.going.set()
        await asyncio.Event().wait()


def test_a_round_that_fails_is_followed_by_the_next(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        flaky = Flaky()
        async with beside([every(0.001, flaky.run)]), asyncio.timeout(5):
            await flaky.going.wait()

    asyncio.run(main())
    assert [record.message for record in caplog.records if record.levelno >= logging.ERROR] == ["a round of run failed"]


def test_a_job_that_fails_begins_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        flaky = Flaky()
        async with beside([lasting(flaky.run, again_s=0.001)]), asyncio.timeout(5):
            await flaky.going.wait()

    asyncio.run(main())
    assert "an answer that nobody thought of" in caplog.text


def test_all_jobs_end_with_what_they_run_beside() -> None:
    async def main() -> None:
        async with beside([every(1.0, _wait), lasting(_wait)]):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


async def _wait() -> None:
    await asyncio.Event().wait()
