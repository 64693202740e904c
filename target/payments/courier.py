"""Sends the outbox: each webhook is signed and repeated with back-off until its receiver has taken it.

The outbox survives the process, so every webhook arrives at least once, perhaps twice, in no fixed order; the switches
can make the delivery worse.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Final

import aiohttp
import msgspec
from prometheus_client import Counter

from target.payments.ledger import Ledger
from target.payments.ledger_sql import OutboxWebhook
from target.payments.signatures import HEADER, sign
from target.payments.switches import Switches

BATCH: Final = 256
CONNECTIONS: Final = 16
SEND_TIMEOUT_S: Final = 3.0
BACKOFF_FIRST_S: Final = 0.25
BACKOFF_MAX_S: Final = 60.0
GIVE_UP_AFTER_S: Final = 86_400.0
REST_AFTER_ERROR_S: Final = 1.0

DELIVERIES: Final = Counter("provider_webhooks", "Webhooks, by what became of each attempt", ["outcome"])
for _outcome in ("delivered", "failed", "lost", "gave_up"):
    DELIVERIES.labels(_outcome)

_log = logging.getLogger(__name__)


class Courier:
    """Sends one ledger's webhooks to one address. `switches`: read for each webhook."""

    def __init__(self, ledger: Ledger, url: str, secret: str, switches: Callable[[], Switches]) -> None:
        self._ledger = ledger
        self._url = url
        self._secret = secret
        self._switches = switches
        self._news = asyncio.Event()

    def wake(self) -> None:
        """Tells the courier that the outbox may have new webhooks."""
        self._news.set()

    async def run(self) -> None:
        """Endless."""
        timeout = aiohttp.ClientTimeout(total=SEND_TIMEOUT_S)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS), timeout=timeout) as session:
            while True:
                try:
                    await self._round(session)
                except Exception:  # noqa: BLE001 - a full disk must not end the courier for good
                    _log.exception("a round of webhooks failed")
                    await asyncio.sleep(REST_AFTER_ERROR_S)

    async def _round(self, session: aiohttp.ClientSession) -> None:
        """Sends all due webhooks, then waits until the next one is due."""
        self._news.clear()
        due = await self._ledger.due_webhooks(time.time(), BATCH)
        planned = [self._plan(hook) for hook in due]
        lost = [hook.number for hook in planned if hook.plan == "lost"]
        DELIVERIES.labels("lost").inc(len(lost))
        now_s = time.time()
        kept = [hook for hook in planned if hook.plan != "lost" and hook.due_s > now_s]
        ready = [hook for hook in planned if hook.plan != "lost" and hook.due_s <= now_s]
        results = await self._send_all(session, ready)
        gone = [hook.number for hook, after in zip(ready, results, strict=True) if after is None]
        kept += [after for after in results if after is not None]
        if due:
            await self._ledger.update_outbox([*lost, *gone], kept)
        if len(due) < BATCH:
            await self._wait()

    def _plan(self, hook: OutboxWebhook) -> OutboxWebhook:
        """Decides once how a webhook is sent."""
        if hook.plan:
            return hook
        switches = self._switches()
        plan, delay_s, due_s = switches.draw_webhook(), switches.webhook_delay_s, hook.due_s
        if plan == "late":
            due_s += delay_s
        elif plan == "out_of_order" and delay_s:
            due_s = (math.floor(due_s / delay_s) + 2) * delay_s  # all webhooks of one window, together
        return msgspec.structs.replace(hook, plan=plan, due_s=due_s)

    async def _send_all(self, session: aiohttp.ClientSession, hooks: list[OutboxWebhook]) -> list[OutboxWebhook | None]:
        """For each webhook its new state in the outbox; None once it was delivered or given up."""
        reversed_ones = {hook.number for hook in hooks if hook.plan == "out_of_order"}
        after: dict[int, OutboxWebhook | None] = {}
        for hook in reversed(hooks):
            if hook.number in reversed_ones:  # one after the other, because otherwise their order would be random
                after[hook.number] = await self._deliver(session, hook)
        others = [hook for hook in hooks if hook.number not in reversed_ones]
        results = await asyncio.gather(*(self._deliver(session, hook) for hook in others))
        after |= {hook.number: result for hook, result in zip(others, results, strict=True)}
        return [after[hook.number] for hook in hooks]

    async def _deliver(self, session: aiohttp.ClientSession, hook: OutboxWebhook) -> OutboxWebhook | None:
        taken = await self._send(session, hook.body)
        if hook.plan == "duplicate":
            taken = await self._send(session, hook.body) and taken
        DELIVERIES.labels("delivered" if taken else "failed").inc()
        if taken:
            return None
        now_s = time.time()
        if now_s - hook.created_s > GIVE_UP_AFTER_S:
            DELIVERIES.labels("gave_up").inc()
            _log.warning("webhook %d was not taken in %d attempts", hook.number, hook.attempts + 1)
            return None
        pause_s = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(hook.attempts, 16)) * random.uniform(0.5, 1.0)
        return msgspec.structs.replace(hook, attempts=hook.attempts + 1, due_s=now_s + pause_s)

    async def _send(self, session: aiohttp.ClientSession, body: bytes) -> bool:
        headers = {"content-type": "application/json", HEADER: sign(self._secret, body, now_s=time.time())}
        try:
            async with session.post(self._url, data=body, headers=headers) as answer:
                await answer.read()
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, OSError):  # a time-out is an OSError too
            return False

    async def _wait(self) -> None:
        due_s = await self._ledger.next_due_s()
        try:
            async with asyncio.timeout(None if due_s is None else max(0.0, due_s - time.time())):
                await self._news.wait()
        except TimeoutError:
            return
