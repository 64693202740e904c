"""The booking process takes webhooks: only signed ones, each once; the provider is asked whether they are true."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import pytest

from target.orders import OrderState
from target.payments.records import Charge, ChargeStatus, WebhookEvent
from target.payments.signatures import TOLERANCE_S, sign
from target.runtime.breakers import UnavailableError
from target.settings import Settings
from tests.target.booth import Booth, booth_on, settings_for, until
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, Answer, Server, running
from tests.target.provider_fixture import Provider, StartProvider

SECRET = "between the two"
PATH = "/webhooks/payments"


@dataclass
class Desk:
    booking: Server
    settings: Settings

    def send(self, body: bytes, *, secret: str = SECRET, age_s: float = 0.0) -> Answer:
        signature = sign(secret, body, now_s=time.time() - age_s)
        return self.booking.ask("POST", PATH, body, Webhook_Signature=signature)


@pytest.fixture
def desk(valkey: Valkey, truth: Truth, provider: Provider) -> Iterator[Desk]:
    settings = settings_for(valkey, truth, provider)
    with running("booking", **_wire(settings), webhook_secret=SECRET) as booking:
        yield Desk(booking, settings)


def event(order_id: str, kind: str = "charge.captured", *, reference: str = EVENT) -> bytes:
    charge = Charge("ch_1", ChargeStatus.CAPTURED, order_id, 500, reference=reference)
    return msgspec.json.encode(WebhookEvent(f"ev_{secrets.token_hex(6)}", kind, time.time(), charge))


def test_only_what_the_provider_signed_just_now_is_taken(desk: Desk) -> None:
    body = event("o1")
    assert desk.booking.ask("POST", PATH, body).status == 401
    assert desk.booking.ask("POST", PATH, body, Webhook_Signature="t=1,v1=").status == 401
    assert desk.send(body, secret="another").status == 401
    assert desk.send(body, age_s=TOLERANCE_S + 5).status == 401
    assert desk.send(body, age_s=-TOLERANCE_S - 5).status == 401
    refused = desk.send(body, secret="another")
    assert refused.headers["content-type"] == "application/problem+json"
    assert desk.send(body).status == 204


def test_signed_nonsense_is_refused_with_a_problem(desk: Desk) -> None:
    assert desk.send(b"{").status == 400
    assert desk.send(b"[]").status == 422
    assert desk.send(event("o\x001")).status == 422
    assert desk.send(event("")).status == 422
    assert desk.send(b" " * 20_000).status == 413
    assert desk.booking.ask("GET", PATH).status == 405


def test_a_repeat_and_a_foreign_event_change_nothing(desk: Desk) -> None:
    body = event("o1")
    assert [desk.send(body).status for _ in range(3)] == [204] * 3
    assert desk.send(event("o1", reference="elsewhere")).status == 204
    metrics = desk.booking.ask("GET", "/metrics").body
    assert b'target_webhooks_total{outcome="accepted"} 1.0' in metrics
    assert b'target_webhooks_total{outcome="repeated"} 2.0' in metrics


def test_a_webhook_is_a_hint_and_not_believed(desk: Desk, provider: Provider) -> None:
    """Signed and well-formed, it says that money was taken; the provider, asked, knows of none."""

    async def main() -> None:
        async with booth_on(desk.settings) as booth:
            checkout = booth.checkout(await booth.hold("f", "101-A-1"))
            await booth.orders.create(checkout, lease_s=3600.0)
            assert desk.send(event(checkout.order_id)).status == 204
            order = await booth.orders.find(checkout.order_id)
            assert order is not None
            assert order.state is OrderState.PENDING
            assert provider.entries(checkout.order_id) == []

            async def confirmed() -> bool:
                await booth.jobs.recover()
                return [row.state for row in await booth.orders.export()] == ["confirmed"]

            await until(confirmed, what="recovery, in spite of the lease")
            assert provider.entries(checkout.order_id) == ["capture"]

    asyncio.run(main())


@pytest.mark.parametrize("webhooks", ["normal", "duplicate", "out_of_order", "late", "lost"])
@pytest.mark.parametrize("flow", ["sale", "authorise"])
def test_checkouts_end_the_same_however_the_webhooks_come(
    valkey: Valkey, truth: Truth, start_provider: StartProvider, webhooks: str, flow: str
) -> None:
    base = settings_for(valkey, truth, start_provider(0), payment_flow=flow)
    with running("booking", **_wire(base), webhook_secret=SECRET) as booking:
        provider = start_provider(
            0,
            webhook_url=f"http://127.0.0.1:{booking.port}{PATH}",
            webhook_secret=SECRET,
            payment_switches=f"webhooks={webhooks},webhook_delay_s=0.3,charge=capture_then_error,charge_ratio=0.5",
        )
        settings = msgspec.structs.replace(base, payments_url=provider.url)
        asyncio.run(_sell_nine(settings, provider))


async def _sell_nine(settings: Settings, provider: Provider) -> None:
    async with booth_on(settings) as booth:
        cards = ("ok", "ok", "declined")
        claims = [await booth.hold(f"f{n}", f"101-A-{n + 1}") for n in range(9)]
        receipts = await asyncio.gather(*(booth.pay(claim, card=cards[n % 3]) for n, claim in enumerate(claims)))
        await until(lambda: _at_rest(booth), within_s=60, what="rest")
        states = {row.order_id: row.state for row in await booth.orders.export()}
        for number, receipt in enumerate(receipts):
            ended = "declined" if number % 3 == 2 else "confirmed"
            assert states[receipt.order_id] == ended
            assert provider.entries(receipt.order_id) == ["decline" if ended == "declined" else "capture"]


async def _at_rest(booth: Booth) -> bool:
    with contextlib.suppress(UnavailableError):  # a trial for the breaker, as its probe makes it
        await booth.checkouts.payments.find_charge("none")
    await booth.jobs.recover()
    return not await booth.orders.unfinished_count()


def _wire(settings: Settings) -> dict[str, object]:
    """What a booking process beside the booth is told."""
    names = ("redis_url", "primary_dsn", "replica_dsn", "payments_url", "payment_flow")
    return {name: getattr(settings, name) for name in names}
