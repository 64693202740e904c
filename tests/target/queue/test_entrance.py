"""The entrance: what a join must show. The device limit counts in a real Valkey."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.http.tickets import Signer
from target.queue import entrance
from target.queue.entrance import (
    CHALLENGE_PERIOD_S,
    CHALLENGE_VALID_S,
    DeviceLimit,
    DeviceRefusedError,
    NoChallenge,
    ProofOfWork,
    ProofRefusedError,
)
from target.runtime.breakers import UnavailableError
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.telemetry.metrics import BOT_CHECKS
from tests.target.conftest import Valkey, free_port

SIGNER = Signer("secret", "e1")
KEYS = Keys("e1")
BITS = 6


def solve(challenge: str, fan: str, bits: int) -> str:
    """The solution as its definition says, with nothing of the service's own code."""
    for nonce in itertools.count():
        digest = hashlib.sha256(f"{challenge}|{fan}|{nonce}".encode()).digest()
        if "".join(f"{byte:08b}" for byte in digest).startswith("0" * bits):
            return f"{challenge}:{nonce}"
    raise AssertionError


def counted(control: str, outcome: str) -> float:
    return float(BOT_CHECKS.labels(control, outcome)._value.get())


@given(fan=st.text(min_size=1, max_size=20))
def test_a_solution_is_good_for_its_fan_and_can_be_sent_again(fan: str) -> None:
    proof = ProofOfWork(SIGNER, bits=BITS)
    solution = solve(proof.offer().challenge, fan, BITS)
    proof.check(fan, solution)
    proof.check(fan, solution)


def test_a_solution_that_waited_for_its_turn_counts_as_of_when_it_came() -> None:
    long_ago_s = time.time() - 3600.0
    proof = ProofOfWork(SIGNER, bits=BITS, clock=lambda: long_ago_s)
    solution = solve(proof.offer().challenge, "a", BITS)
    with pytest.raises(ProofRefusedError, match="expired"):
        proof.check("a", solution)
    proof.check("a", solution, shown_s=long_ago_s + 1.0)
    with pytest.raises(ProofRefusedError, match="expired"):
        proof.check("a", solution, shown_s=long_ago_s + 600.0)


def test_a_solution_of_one_fan_is_not_one_of_others() -> None:
    """Save by chance: it does for one other fan in 2^bits."""
    proof = ProofOfWork(SIGNER, bits=8)
    challenge = proof.offer().challenge
    solution = solve(challenge, "a", 8)
    nonce = solution.rpartition(":")[2]
    others = [f"b{number}" for number in range(100)]
    unlucky = [fan for fan in others if hashlib.sha256(f"{challenge}|{fan}|{nonce}".encode()).digest()[0]]
    assert len(unlucky) > 80
    for fan in unlucky:
        with pytest.raises(ProofRefusedError, match="8 zero bits for this fan"):
            proof.check(fan, solution)


@pytest.mark.parametrize("solution", ["", ":", "x", "x:1", ":1", "ü:1", "a:b:c"])
def test_what_is_no_solution_is_refused(solution: str) -> None:
    with pytest.raises(ProofRefusedError):
        ProofOfWork(SIGNER, bits=1).check("a", solution)


def test_a_nonce_has_at_most_32_characters() -> None:
    proof = ProofOfWork(SIGNER, bits=1)
    challenge = proof.offer().challenge
    long = next(
        nonce
        for nonce in (f"{number:033d}" for number in itertools.count())
        if hashlib.sha256(f"{challenge}|a|{nonce}".encode()).digest()[0] < 128
    )
    with pytest.raises(ProofRefusedError, match="needed"):
        proof.check("a", f"{challenge}:{long}")


def test_challenges_of_others_or_of_our_own_making_are_refused() -> None:
    proof = ProofOfWork(SIGNER, bits=8)
    for other, why in (
        (Signer("other", "e1").challenge(1, 4e9), "signature"),
        (Signer("secret", "e2").challenge(1, 4e9), "another event"),
        (SIGNER.ticket("a", "a", 4_000_000_000_000_000), "another kind"),
        (SIGNER.challenge(1, 1.0), "expired"),
    ):
        with pytest.raises(ProofRefusedError, match=why):
            proof.check("a", solve(other, "a", 1))


def test_everybody_gets_the_same_challenge_for_a_period_and_time_to_solve_it() -> None:
    now_s = 1_000_000.0
    first, second = (ProofOfWork(Signer("secret", "e1"), bits=8, clock=lambda: now_s) for _ in range(2))
    offer = first.offer()
    assert (offer.kind, offer.bits) == ("proof_of_work", 8)
    assert second.offer() == offer
    assert CHALLENGE_VALID_S <= offer.expires_at - now_s <= CHALLENGE_VALID_S + CHALLENGE_PERIOD_S
    now_s += CHALLENGE_PERIOD_S
    assert first.offer() != offer
    assert first.offer() == second.offer()


def test_the_settings_choose_the_entrance() -> None:
    def of(**settings: object) -> object:
        chosen = Settings(**settings)  # type: ignore[arg-type]
        return entrance(chosen, RedisStore("redis://127.0.0.1:1", timeout_s=0.1), KEYS, SIGNER).challenge

    assert isinstance(of(challenge="none"), NoChallenge)
    proof = of(challenge_bits=5)
    assert isinstance(proof, ProofOfWork)
    assert proof.offer().bits == 5
    NoChallenge().check("a", "")
    assert NoChallenge().offer().kind == "none"


async def _joined(devices: DeviceLimit, *joins: tuple[str, str]) -> list[float]:
    """For each (device, fan) 0.0 or the seconds to wait."""
    waits: list[float] = []
    for device, fan in joins:
        try:
            await devices.count(device, fan)
            waits.append(0.0)
        except DeviceRefusedError as error:
            waits.append(error.retry_after_s or -1.0)
    return waits


def test_a_device_brings_a_few_fans_a_minute_and_each_counts_once(valkey: Valkey) -> None:
    async def main() -> list[float]:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        devices = DeviceLimit(redis, KEYS, fans_max=2)
        waits = await _joined(devices, ("d", "a"), ("d", "b"), ("d", "a"), ("d", "c"), ("other", "c"), ("d", "b"))
        ttl_ms = await redis.command("PTTL", KEYS.device("d"))
        assert 0 < int(ttl_ms) <= 60_000
        await redis.close()
        return waits

    waits = asyncio.run(main())
    assert [wait > 0 for wait in waits] == [False, False, False, True, False, False]
    assert 0 < waits[3] <= 60


def test_a_minute_later_there_is_room_again(valkey: Valkey) -> None:
    async def main() -> list[float]:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        devices = DeviceLimit(redis, KEYS, fans_max=2)
        waits = await _joined(devices, ("d", "a"), ("d", "b"), ("d", "c"))
        await redis.command("ZINCRBY", KEYS.device("d"), -61_000_000, "a")  # a came a minute earlier
        waits += await _joined(devices, ("d", "c"), ("d", "e"))
        await redis.close()
        return waits

    assert [wait > 0 for wait in asyncio.run(main())] == [False, False, True, False, True]


def test_of_many_at_once_only_so_many_are_let_in(valkey: Valkey) -> None:
    async def main() -> int:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        devices = DeviceLimit(redis, KEYS, fans_max=8)
        results = await asyncio.gather(*(devices.count("d", f"fan-{n}") for n in range(200)), return_exceptions=True)
        await redis.close()
        assert {type(result) for result in results} == {type(None), DeviceRefusedError}
        return sum(1 for result in results if result is None)

    assert asyncio.run(main()) == 8


def test_a_device_must_be_named_while_there_is_a_limit(valkey: Valkey) -> None:
    async def main() -> None:
        redis = RedisStore(valkey.url, timeout_s=30.0)
        with pytest.raises(DeviceRefusedError, match="Device") as refused:
            await DeviceLimit(redis, KEYS, fans_max=2).count("", "a")
        assert refused.value.retry_after_s is None
        await DeviceLimit(redis, KEYS, fans_max=0).count("", "a")
        await redis.close()

    asyncio.run(main())


def test_while_redis_is_away_nobody_is_refused_and_it_is_counted() -> None:
    async def main() -> None:
        redis = RedisStore(f"redis://127.0.0.1:{free_port()}", timeout_s=0.5)
        with pytest.raises(UnavailableError):
            await DeviceLimit(redis, KEYS, fans_max=2).count("d", "a")
        await redis.close()

    before = counted("device", "uncounted")
    asyncio.run(main())
    assert counted("device", "uncounted") == before + 1
