"""The breaker's state machine against hand-made instants, and its shell against a real clock."""

from __future__ import annotations

import asyncio

import pytest

from target.runtime.breakers import (
    PROBE_PERIOD_S,
    PROBE_TIMEOUT_S,
    BreakerCore,
    BreakerState,
    GuardedCalls,
    UnavailableError,
)
from tests.target.booth import until


def opened(core: BreakerCore, now_s: float = 0.0) -> BreakerCore:
    for _ in range(3):
        core.fail(now_s)
    assert core.state is BreakerState.OPEN
    return core


def test_it_opens_on_consecutive_failures_only() -> None:
    core = BreakerCore(failures_to_open=3)
    for _ in range(5):
        core.fail(0.0)
        core.fail(0.0)
        core.succeed()
    assert core.state is BreakerState.CLOSED
    opened(core)


def test_while_open_nothing_passes_until_its_time_is_over() -> None:
    core = opened(BreakerCore(open_s=1.0), now_s=10.0)
    assert not core.admits(10.99)
    assert core.admits(11.0)
    assert core.state is BreakerState.HALF_OPEN


def test_half_open_lets_one_trial_pass_at_a_time() -> None:
    core = opened(BreakerCore())
    assert core.admits(1.0)
    assert not core.admits(1.0)
    core.succeed()
    assert core.admits(1.0)


def test_it_closes_after_enough_trials_and_reopens_on_a_failed_one() -> None:
    core = opened(BreakerCore(successes_to_close=2))
    for _ in range(2):
        assert core.admits(1.0)
        core.succeed()
    assert core.state is BreakerState.CLOSED
    opened(core, now_s=2.0)
    assert core.admits(3.0)
    core.fail(3.0)
    assert core.state is BreakerState.OPEN
    assert not core.admits(3.9)


def test_an_abandoned_trial_frees_the_next() -> None:
    core = opened(BreakerCore())
    assert core.admits(1.0)
    core.abandon()
    assert core.admits(1.0)


def test_answers_from_before_the_outage_do_not_close_it() -> None:
    core = opened(BreakerCore())
    core.succeed()
    core.succeed()
    assert core.state is BreakerState.OPEN


def guard() -> GuardedCalls:
    return GuardedCalls("test", failures=(OSError,), timeout_s=0.02)


async def is_now(calls: GuardedCalls, state: BreakerState) -> bool:
    return calls.state is state


async def refuse() -> None:
    raise ConnectionRefusedError("refused")


async def hang() -> None:
    await asyncio.sleep(60)


async def answer() -> int:
    return 42


def test_a_call_that_was_sent_may_have_happened_and_one_that_was_not_cannot() -> None:
    async def main() -> None:
        calls = guard()
        for make in (refuse, hang, hang):
            with pytest.raises(UnavailableError) as sent:
                await calls.call(make)
            assert sent.value.maybe_done
        begun: list[str] = []

        async def begin() -> None:
            begun.append("never")

        with pytest.raises(UnavailableError) as refused:
            await calls.call(begin)
        assert not refused.value.maybe_done
        assert begun == []

    asyncio.run(main())


def test_what_the_dependency_answers_is_no_failure() -> None:
    async def misfit() -> None:
        raise ValueError("a unique violation, say")

    async def main() -> None:
        calls = guard()
        for _ in range(10):
            with pytest.raises(ValueError, match="unique"):
                await calls.call(misfit)
        assert calls.state is BreakerState.CLOSED
        assert await calls.call(answer) == 42

    asyncio.run(main())


def test_probes_open_and_close_it_without_traffic_within_two_seconds() -> None:
    async def main() -> None:
        calls = guard()
        up = asyncio.Event()
        pings = 0

        async def ping() -> None:
            nonlocal pings
            pings += 1
            if not up.is_set():
                raise ConnectionRefusedError

        probing = asyncio.create_task(calls.probe_forever(ping))
        await until(lambda: is_now(calls, BreakerState.OPEN))
        assert (pings - 1) * PROBE_PERIOD_S + PROBE_TIMEOUT_S < 2.0
        up.set()
        pings = 0
        await until(lambda: is_now(calls, BreakerState.CLOSED))
        assert pings == 2
        probing.cancel()

    asyncio.run(main())
