"""Checks a join before it gets a place: it shows an access code where the sale asks for one, the challenge is solved,
and its device has not joined too often.

The last two do not tell a person from a program; both make it expensive for one program to play a thousand people. The
limit that cannot be evaded, seats per identity, is the inventory's. The settings choose the checks.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from target.http.tickets import ChallengeToken, Signer, TokenError
from target.queue.access_codes import AccessCodes, CodeRefusedError
from target.runtime.breakers import UnavailableError
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore, Script
from target.telemetry.metrics import BOT_CHECKS

CHALLENGE_PERIOD_S: Final = 30.0  # all requests within it get the same challenge, so it may be cached
CHALLENGE_VALID_S: Final = 90.0  # valid for at least this time, at most for a period more
NONCE_LENGTH_MAX: Final = 32
DEVICE_WINDOW_S: Final = 60.0

_DIGEST_BITS: Final = 256


class ProofRefusedError(Exception):
    """The challenge is not solved; the text says why."""


class DeviceRefusedError(Exception):
    """Too many fans joined from this device, or none is named. `retry_after_s`: None when waiting does not help."""

    def __init__(self, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class ChallengeOffer(msgspec.Struct, frozen=True):
    """The challenge to solve before joining. `expires_at`: unix s.

    Kind none: no challenge, and the other fields are empty.

    proof_of_work: find a nonce (at most 32 characters) such that SHA-256 of `challenge|fan|nonce` begins with `bits`
    zero bits, and join with the header `Challenge: <challenge>:<nonce>`.
    """

    kind: Literal["none", "proof_of_work"]
    challenge: str = ""
    bits: int = 0
    expires_at: float = 0.0


class Challenge(Protocol):
    """A test at the entrance. A CAPTCHA service would be another implementation."""

    def offer(self) -> ChallengeOffer:
        """The present challenge."""

    def check(self, fan: str, solution: str, *, shown_s: float | None = None) -> None:
        """Raises `ProofRefusedError` unless `solution`, the `Challenge` header, solves an offer for this fan that was
        good when it was shown (unix s; null: now)."""


class NoChallenge:
    """No challenge: every fan may join."""

    def offer(self) -> ChallengeOffer:
        """The offer without a challenge."""
        return ChallengeOffer("none")

    def check(self, fan: str, solution: str, *, shown_s: float | None = None) -> None:
        """Accepts any solution."""


class ProofOfWork:
    """2^bits hashes on average for each fan, one to check. Nothing is stored: the challenge is signed and expires.

    The work is for one fan, whose join is idempotent, so a solution that is sent again brings no second place.
    """

    def __init__(self, signer: Signer, *, bits: int, clock: Callable[[], float] = time.time) -> None:
        self._signer = signer
        self._bits = bits
        self._clock = clock
        self._offer = ChallengeOffer("proof_of_work")

    def offer(self) -> ChallengeOffer:
        """The challenge of this period; it is the same in every process, and the next one cannot be guessed."""
        period = self._clock() // CHALLENGE_PERIOD_S + 1
        expires_s = period * CHALLENGE_PERIOD_S + CHALLENGE_VALID_S
        if self._offer.expires_at != expires_s:
            token = self._signer.challenge(self._bits, expires_s)
            self._offer = ChallengeOffer("proof_of_work", token, self._bits, expires_s)
        return self._offer

    def check(self, fan: str, solution: str, *, shown_s: float | None = None) -> None:
        """See `Challenge`."""
        challenge, _, nonce = solution.rpartition(":")
        if not challenge or not 1 <= len(nonce) <= NONCE_LENGTH_MAX:
            raise ProofRefusedError("a header `Challenge: <challenge>:<nonce>` is needed")
        try:
            asked = self._signer.read(ChallengeToken, challenge, shown_s=shown_s)
        except TokenError as error:
            raise ProofRefusedError(str(error)) from error
        digest = hashlib.sha256(f"{challenge}|{fan}|{nonce}".encode()).digest()
        if int.from_bytes(digest) >> (_DIGEST_BITS - asked.bits):
            raise ProofRefusedError(f"the hash does not begin with {asked.bits} zero bits for this fan")


_COUNT: Final = Script(
    """
-- KEYS: the device's fans by when they joined (µs). ARGV: fan, most fans, µs to look back.
-- Returns 0, or the µs until there is room. A fan who asks again is counted once.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local window_us = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now_us - window_us))
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return tonumber(first[2]) + window_us - now_us
end
redis.call('ZADD', KEYS[1], string.format('%.0f', now_us), ARGV[1])
redis.call('PEXPIRE', KEYS[1], window_us / 1000)
return 0
"""
)


class DeviceLimit:
    """How many fans may join from one device in any minute; 0: no limit. It counts in Redis.

    While Redis is away no fan is refused: the caller gives a paused ticket, and a metric says how many joins were not
    counted.
    """

    def __init__(self, redis: RedisStore, keys: Keys, *, fans_max: int) -> None:
        self._redis = redis
        self._keys = keys
        self._fans_max = fans_max

    async def count(self, device: str, fan: str) -> None:
        """Counts the fan on the device. Raises `DeviceRefusedError`, and `UnavailableError` when it cannot count."""
        if not self._fans_max:
            return
        if not device:
            raise DeviceRefusedError("a header `Device` with the device's fingerprint is needed")
        arguments = (fan, self._fans_max, round(DEVICE_WINDOW_S * 1e6))
        try:
            wait_us = int(await self._redis.run(_COUNT, (self._keys.device(device),), arguments))
        except UnavailableError:
            BOT_CHECKS.labels("device", "uncounted").inc()
            raise
        if wait_us:
            raise DeviceRefusedError(f"{self._fans_max} fans a minute may join from one device", wait_us / 1e6)


class Entrance:
    """The checks of every new join. `challenge`, `devices` and `codes` may be replaced."""

    def __init__(self, challenge: Challenge, devices: DeviceLimit, codes: AccessCodes | None = None) -> None:
        self.challenge = challenge
        self.devices = devices
        self.codes = codes or AccessCodes()

    def code_of(self, shown: str) -> str:
        """The digest of the access code that is shown, "" where nobody needs one. Raises `CodeRefusedError`."""
        try:
            return self.codes.digest_of(shown)
        except CodeRefusedError:
            BOT_CHECKS.labels("code", "refused").inc()
            raise

    async def check(self, fan: str, *, solution: str, device: str, came_s: float | None = None) -> None:
        """Checks a request that came at `came_s` (unix s; null: now), however long it waited since.

        Raises `ProofRefusedError`, `DeviceRefusedError`; `UnavailableError` when Redis is away.
        """
        try:
            self.challenge.check(fan, solution, shown_s=came_s)
        except ProofRefusedError:
            BOT_CHECKS.labels("challenge", "refused").inc()
            raise
        BOT_CHECKS.labels("challenge", "passed").inc()
        try:
            await self.devices.count(device, fan)
        except DeviceRefusedError:
            BOT_CHECKS.labels("device", "refused").inc()
            raise
        BOT_CHECKS.labels("device", "passed").inc()


def entrance(settings: Settings, redis: RedisStore, keys: Keys, signer: Signer) -> Entrance:
    """The entrance that the settings ask for."""
    chosen: Challenge = NoChallenge()
    if settings.challenge == "proof_of_work":
        chosen = ProofOfWork(signer, bits=settings.challenge_bits)
    devices = DeviceLimit(redis, keys, fans_max=settings.joins_per_device)
    return Entrance(chosen, devices, AccessCodes.of_file(settings.codes))
