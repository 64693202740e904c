"""Authorise, capture, void, decline: what a charge can become, and what it cannot."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from target.payments.client import ChargeAnswer, PaymentsClient
from target.payments.records import DECLINE_CODES, ChargeStatus
from target.runtime.breakers import UnavailableError
from tests.target.booth import until
from tests.target.payments.test_provider import Purchase, with_client
from tests.target.provider_fixture import Provider


@pytest.fixture
def key() -> str:
    return secrets.token_hex(6)


def test_what_is_authorised_is_no_money_until_it_is_captured_once(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        charge = await client.charge(key, Purchase(key), capture=False)
        assert charge.status is ChargeStatus.AUTHORISED
        assert await client.charge(key, Purchase(key), capture=False) == charge
        assert await asyncio.to_thread(provider.entries, key) == []
        answers = await asyncio.gather(*(client.capture(charge.charge_id) for _ in range(10)))
        assert {answer.status for answer in answers} == {ChargeStatus.CAPTURED}
        assert (await client.void(charge.charge_id)).status is ChargeStatus.CAPTURED

    with_client(provider, use)
    assert provider.entries(key) == ["capture"]


def test_what_is_voided_can_be_neither_captured_nor_refunded(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        charge = await client.charge(key, Purchase(key), capture=False)
        voided = [await client.void(charge.charge_id) for _ in range(2)]
        assert {answer.status for answer in voided} == {ChargeStatus.VOIDED}
        assert (await client.capture(charge.charge_id)).status is ChargeStatus.VOIDED
        with pytest.raises(UnavailableError, match="422"):
            await client.refund(charge.charge_id)
        assert await client.find_charge(key) == voided[0]

    with_client(provider, use)
    assert provider.entries(key) == []


def test_capture_and_void_at_once_leave_one_of_them(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> ChargeAnswer:
        charge = await client.charge(key, Purchase(key), capture=False)
        first, second = await asyncio.gather(client.capture(charge.charge_id), client.void(charge.charge_id))
        assert first == second
        return first

    ended = with_client(provider, use)
    assert provider.entries(key) == (["capture"] if ended.status is ChargeStatus.CAPTURED else [])


def test_the_same_key_cannot_first_charge_and_then_authorise(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        await client.charge(key, Purchase(key))
        with pytest.raises(UnavailableError, match="422"):
            await client.charge(key, Purchase(key), capture=False)

    with_client(provider, use)
    assert provider.entries(key) == ["capture"]


@pytest.mark.parametrize("capture", [True, False])
@pytest.mark.parametrize(("card", "code"), DECLINE_CODES.items())
def test_bad_cards_are_declined_with_a_reason(
    provider: Provider, key: str, card: str, code: str, capture: bool
) -> None:
    async def use(client: PaymentsClient) -> None:
        charge = await client.charge(key, Purchase(key, card), capture=capture)
        assert (charge.status, charge.decline_code) == (ChargeStatus.DECLINED, code)
        assert (await client.capture(charge.charge_id)).status is ChargeStatus.DECLINED

    with_client(provider, use)
    assert provider.entries(key) == ["decline"]


def test_the_slow_card_is_charged_though_nobody_hears_of_it_in_time(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        with pytest.raises(UnavailableError) as cut:
            await client.charge(key, Purchase(key, "slow"))
        assert cut.value.maybe_done

        async def captured() -> bool:
            found = await client.find_charge(key)
            return found is not None and found.status is ChargeStatus.CAPTURED

        await until(captured)

    with_client(provider, use, timeout_s=2.0)


def test_an_unknown_charge_is_404_and_odd_bodies_are_422(provider: Provider, key: str) -> None:
    ask = provider.server.ask
    assert ask("GET", "/charges/ch_none").status == 404
    assert ask("POST", "/charges/ch_none/capture").status == 404
    assert ask("POST", "/charges/ch_none/void").status == 404
    assert ask("POST", "/refunds", {"charge_id": "ch_none"}).status == 422
    good = {"order_id": key, "amount_cents": 5, "card": "ok"}
    bodies: tuple[object, ...] = (
        {},
        [],
        b"{",
        good | {"capture": "yes"},
        good | {"amount_cents": 0},
        good | {"more": 1},
    )
    for body in bodies:
        assert ask("POST", "/charges", body, Idempotency_Key=key).status == 422, body
    assert ask("POST", "/charges", good).status == 422
    assert provider.entries(key) == []
