"""Buyers who come in an unbroken stream to a booking system that is being killed piece by piece, and remember all.

They know nothing but the public API. Each buyer joins, waits to be let in, holds one or two of a few wanted seats and
pays, with patience: whatever is refused for now or not answered is asked again, under the same idempotency key.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from harness.stack import Addresses

CALL_TIMEOUT = aiohttp.ClientTimeout(total=6.0)
PAUSE_S = 0.1
WANTED_AT_ONCE = 40  # so few that buyers meet
OUR_FAULT = {400, 401, 404, 405, 413, 422}


class OutOfPatienceError(Exception):
    """A buyer was not served in time."""


@dataclass(frozen=True)
class Grant:
    """A hold that a buyer was given, told at `acked_s` and good until `until_s` at least (monotonic)."""

    buyer: str
    seats: tuple[str, ...]
    acked_s: float
    until_s: float


@dataclass
class Memory:
    """What the buyers were told."""

    grants: list[Grant] = field(default_factory=list)  # in the order in which they were told
    confirmed: dict[str, tuple[str, ...]] = field(default_factory=dict)  # order id → seats
    ends: Counter[str] = field(default_factory=Counter)  # how buyers ended
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)


class Crowd:
    """`at_once` buyers at any time, each replaced by a new one when it is done, until `leave`."""

    def __init__(self, addresses: Addresses, seats: list[str], *, seed: int, at_once: int = 12) -> None:
        self.memory = Memory()
        self._addresses = addresses
        self._seats = seats
        self._dice = random.Random(seed)
        self._run = f"{seed:x}-{random.randrange(1 << 32):x}"
        self._at_once = at_once
        self._closing = asyncio.Event()
        self._buyers: list[asyncio.Task[None]] = []

    @contextlib.asynccontextmanager
    async def buying(self) -> AsyncIterator[Memory]:
        """The crowd is at the gates; on leaving, those who have begun finish."""
        async with aiohttp.ClientSession(timeout=CALL_TIMEOUT) as session:
            self._buyers = [asyncio.create_task(self._lane(session, lane)) for lane in range(self._at_once)]
            yield self.memory
            self._closing.set()
            await asyncio.gather(*self._buyers)

    async def _lane(self, session: aiohttp.ClientSession, lane: int) -> None:
        number = 0
        while not self._closing.is_set():
            number += 1
            buyer = _Buyer(session, self._addresses, self.memory, f"fan-{self._run}-{lane}-{number}")
            wanted = self._dice.sample(self._seats[:WANTED_AT_ONCE], self._dice.choice((1, 2)))
            try:
                async with asyncio.timeout(40.0):
                    end = await buyer.buy(tuple(wanted))
            except TimeoutError as error:
                raise OutOfPatienceError(f"{buyer.name} was at {buyer.step}") from error
            self.memory.ends[end] += 1
            self._seats = [seat for seat in self._seats if seat not in wanted]  # sold, or wanted by somebody else


class _Buyer:
    def __init__(self, session: aiohttp.ClientSession, addresses: Addresses, memory: Memory, name: str) -> None:
        self.name = name
        self.step = "nothing"
        self._session = session
        self._base = f"{addresses.booking}/api/events/{addresses.event}"
        self._memory = memory

    async def buy(self, seats: tuple[str, ...]) -> str:
        """The whole way; returns how it ended."""
        joined = await self._until("join", "POST", f"{self._base}/queue", {200, 201, 202}, body=self._who())
        queue = {"authorization": f"Queue {joined['ticket']}"}
        entered = await self._until("enter", "POST", f"{self._base}/admission", {200}, headers=queue)
        headers = {"authorization": f"Pass {entered['pass']}"}
        asked_s = time.monotonic()
        held = await self._until(
            "hold", "POST", f"{self._base}/holds", {201, 409}, headers=headers, body={"seats": list(seats)}
        )
        if "hold_id" not in held:
            return "seats taken"
        self._memory.grants.append(Grant(self.name, seats, time.monotonic(), asked_s + held["ttl_s"]))
        return await self._pay(headers, held)

    async def _pay(self, headers: dict[str, str], held: dict[str, Any]) -> str:
        headers = {**headers, "idempotency-key": self.name}
        body = {"hold_id": held["hold_id"], "card": "ok"}
        order = await self._until("pay", "POST", f"{self._base}/orders", {201, 402, 410}, headers=headers, body=body)
        if order.get("state") == "confirmed":
            self._memory.confirmed[order["order_id"]] = tuple(order["seats"])
        return str(order.get("state", order.get("title")))

    async def _until(
        self,
        step: str,
        method: str,
        url: str,
        ends: set[int],
        *,
        headers: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The answer whose status is one of `ends`; anything else is asked again."""
        self.step = step
        while True:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with self._session.request(method, url, headers=headers, json=body) as response:
                    self._memory.statuses[(step, response.status)] += 1
                    answer = await response.json(content_type=None)
                    if response.status in ends:
                        return dict(answer)
                    if response.status in OUR_FAULT or response.status == 500:
                        raise AssertionError(f"{step} answered {response.status}: {answer}")
                    self.step = f"{step}: {response.status} {answer}"
            if step == "enter":  # a queue that lost its data takes its fans back by their tickets
                await self._show_ticket(url, headers or {})
            await asyncio.sleep(PAUSE_S)

    async def _show_ticket(self, url: str, headers: dict[str, str]) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with self._session.post(url.replace("/admission", "/queue"), headers=headers) as response:
                await response.read()

    def _who(self) -> dict[str, str]:
        return {"fan": self.name, "identity": self.name}
