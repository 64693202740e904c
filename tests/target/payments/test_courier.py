"""Webhooks from a real provider to a real receiver: at least once, signed, and as badly as the switches want it."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator

import pytest

from target.payments.records import Charge
from tests.target.payments.receiver import SECRET, Receiver, receiving
from tests.target.provider_fixture import Provider, StartProvider
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def provider(start_provider: StartProvider, receiver: Receiver) -> Provider:
    return start_provider(0, webhook_url=receiver.url, webhook_secret=SECRET)


def charge(provider: Provider, card: str = "ok", *, capture: bool = True) -> Charge:
    order_id = secrets.token_hex(6)
    body = {"order_id": order_id, "amount_cents": 500, "card": card, "capture": capture, "reference": "e1"}
    answer = provider.server.ask("POST", "/charges", body, Idempotency_Key=order_id)
    assert answer.status in {201, 402}
    return Charge(**answer.json)


def test_every_change_of_a_charge_is_reported(provider: Provider, receiver: Receiver) -> None:
    ask = provider.server.ask
    captured, declined = charge(provider), charge(provider, "declined")
    kept, voided = charge(provider, capture=False), charge(provider, capture=False)
    ask("POST", f"/charges/{kept.charge_id}/capture")
    ask("POST", f"/charges/{voided.charge_id}/void")
    for _ in range(2):
        assert ask("POST", "/refunds", {"charge_id": captured.charge_id}).status == 201
    wait_until(lambda: len(receiver.taken) >= 7, what="seven webhooks")
    assert sorted(receiver.types(captured.order_id)) == ["captured", "refunded"]
    assert receiver.types(declined.order_id) == ["declined"]
    assert sorted(receiver.types(kept.order_id)) == ["authorised", "captured"]
    assert sorted(receiver.types(voided.order_id)) == ["authorised", "voided"]
    assert len({event.event_id for event in receiver.taken}) == 7
    assert {event.charge.reference for event in receiver.taken} == {"e1"}


def test_a_webhook_is_repeated_until_it_is_taken_also_by_the_providers_next_process(
    start_provider: StartProvider, provider: Provider, receiver: Receiver
) -> None:
    receiver.refusals = 1_000_000
    first = charge(provider)
    wait_until(lambda: receiver.refused >= 2, what="repeats")
    provider.server.process.kill()
    provider.server.process.wait(timeout=30)
    assert receiver.taken == []
    receiver.refusals = 0
    start_provider(0, webhook_url=receiver.url, webhook_secret=SECRET)
    wait_until(lambda: receiver.types(first.order_id) == ["captured"], what="the webhook")


def test_duplicates_come_twice_under_one_id(provider: Provider, receiver: Receiver) -> None:
    provider.switch(webhooks="duplicate")
    made = charge(provider)
    wait_until(lambda: len(receiver.taken) == 2, what="both")
    assert receiver.types(made.order_id) == ["captured"] * 2
    assert len({event.event_id for event in receiver.taken}) == 1


def test_lost_ones_never_come_and_those_after_them_do(provider: Provider, receiver: Receiver) -> None:
    provider.switch(webhooks="lost")
    lost = charge(provider)
    wait_until(lambda: b'{outcome="lost"} 1.0' in provider.server.ask("GET", "/metrics").body, what="the loss")
    provider.switch()
    made = charge(provider)
    wait_until(lambda: receiver.types(made.order_id) == ["captured"], what="the webhook")
    assert receiver.types(lost.order_id) == []


def test_late_ones_come_after_their_delay(provider: Provider, receiver: Receiver) -> None:
    provider.switch(webhooks="late", webhook_delay_s=0.5)
    made = [charge(provider) for _ in range(3)]
    wait_until(lambda: len(receiver.taken) == 3, what="all of them")
    assert {event.charge.order_id for event in receiver.taken} == {each.order_id for each in made}
    delays_s = [at_s - event.created_s for at_s, event in zip(receiver.taken_at_s, receiver.taken, strict=True)]
    assert min(delays_s) >= 0.5


def test_out_of_order_ones_come_newest_first_of_each_window(provider: Provider, receiver: Receiver) -> None:
    provider.switch(webhooks="out_of_order", webhook_delay_s=1.0)
    for each in [charge(provider, capture=False) for _ in range(4)]:
        provider.server.ask("POST", f"/charges/{each.charge_id}/capture")
    wait_until(lambda: len(receiver.taken) == 8, what="all of them")
    created_s = [event.created_s for event in receiver.taken]
    assert created_s == sorted(created_s, key=lambda at_s: (math.floor(at_s), -at_s))
    assert created_s != sorted(created_s)


def test_the_switches_are_the_operators(provider: Provider) -> None:
    for authorization in ("", "Bearer wrong"):
        for method in ("GET", "PUT"):
            assert provider.server.ask(method, "/switches", {}, Authorization=authorization).status == 401
    authorization = "Bearer operator"
    for body in ({"webhooks": "sometimes"}, {"charge_ratio": 2}, {"more": 1}, b"{"):
        assert provider.server.ask("PUT", "/switches", body, Authorization=authorization).status == 422
    provider.switch(charge="slow", charge_delay_s=1.5)
    shown = provider.server.ask("GET", "/switches", Authorization=authorization).json
    assert (shown["charge"], shown["charge_delay_s"], shown["webhooks"]) == ("slow", 1.5, "normal")
