"""The provider over HTTP, and our client for it: one capture per key, whatever happens on the way."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
import pytest

from target.payments.client import PaymentsClient
from target.payments.records import ChargeStatus
from target.runtime.breakers import BreakerState, UnavailableError
from tests.target.booth import until
from tests.target.provider_fixture import Provider, StartProvider

T = TypeVar("T")


@dataclass(frozen=True)
class Purchase:
    order_id: str
    card: str = "ok"
    event: str = "e1"
    amount_cents: int = 500


def with_client(provider: Provider, use: Callable[[PaymentsClient], Awaitable[T]], *, timeout_s: float = 30.0) -> T:
    async def main() -> T:
        client = PaymentsClient(provider.url, timeout_s=timeout_s)
        await client.open()
        try:
            return await use(client)
        finally:
            await client.close()

    return asyncio.run(main())


async def post(provider: Provider, path: str, body: str, **headers: str) -> tuple[int, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            provider.url + path, data=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        ) as response,
    ):
        return response.status, await response.read()


@pytest.fixture
def key() -> str:
    return secrets.token_hex(6)


def test_concurrent_charges_with_one_key_capture_once(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        answers = await asyncio.gather(*(client.charge(key, Purchase(key)) for _ in range(40)))
        assert len({answer.charge_id for answer in answers}) == 1
        assert answers[0].status is ChargeStatus.CAPTURED
        assert await client.find_charge(key) == answers[0]

    with_client(provider, use)
    assert provider.entries(key) == ["capture"]


def test_another_body_under_the_same_key_is_refused(provider: Provider, key: str) -> None:
    async def main() -> None:
        body = '{"order_id":"%s","amount_cents":%d,"card":"ok"}'
        assert (await post(provider, "/charges", body % (key, 500), idempotency_key=key))[0] == 201
        assert (await post(provider, "/charges", body % (key, 501), idempotency_key=key))[0] == 422
        assert (await post(provider, "/charges", body % (key, 500)))[0] == 422
        assert (await post(provider, "/charges", body % (key, -500), idempotency_key=f"{key}-2"))[0] == 422
        assert (await post(provider, "/charges", "{", idempotency_key=f"{key}-3"))[0] == 422

    asyncio.run(main())
    assert provider.entries(key) == ["capture"]


def test_a_declined_card_stays_declined(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        first, again = [await client.charge(key, Purchase(key, "declined")) for _ in range(2)]
        assert (first.status, first.decline_code) == (ChargeStatus.DECLINED, "generic_decline")
        assert first == again
        with pytest.raises(UnavailableError, match="422"):
            await client.refund(first.charge_id)

    with_client(provider, use)
    assert provider.entries(key) == ["decline"]


def test_a_charge_is_refunded_once(provider: Provider, key: str) -> None:
    async def use(client: PaymentsClient) -> None:
        charge = await client.charge(key, Purchase(key))
        await asyncio.gather(*(client.refund(charge.charge_id) for _ in range(10)))

    with_client(provider, use)
    assert provider.entries(key) == ["capture", "refund"]


def test_a_key_that_was_never_used_has_no_charge(provider: Provider, key: str) -> None:
    assert with_client(provider, lambda client: client.find_charge(key)) is None


def test_the_ledger_is_for_the_operator_only(provider: Provider) -> None:
    async def main() -> int:
        async with aiohttp.ClientSession() as session, session.get(f"{provider.url}/ledger") as response:
            return response.status

    assert asyncio.run(main()) == 401


def test_the_ledger_survives_the_process(start_provider: StartProvider, key: str) -> None:
    first = start_provider(0)
    with_client(first, lambda client: client.charge(key, Purchase(key)))
    first.server.process.kill()
    first.server.process.wait(timeout=30)
    second = start_provider(0)
    assert second.entries(key) == ["capture"]


def test_a_charge_that_the_client_gave_up_on_still_lands_and_is_found(start_provider: StartProvider, key: str) -> None:
    slow = start_provider(4000)

    async def give_up(client: PaymentsClient) -> None:
        with pytest.raises(UnavailableError) as cut:
            await client.charge(key, Purchase(key))
        assert cut.value.maybe_done

    async def find(client: PaymentsClient) -> None:
        async def landed() -> bool:
            return await client.find_charge(key) is not None

        await until(landed)

    with_client(slow, give_up, timeout_s=2.0)  # long enough to have asked
    with_client(slow, find)
    assert slow.entries(key) == ["capture"]


def test_a_provider_that_is_too_slow_opens_the_breaker_and_costs_nothing_more(
    start_provider: StartProvider, key: str
) -> None:
    slow = start_provider(1000)

    async def use(client: PaymentsClient) -> None:
        charges = (client.charge(f"{key}-{n}", Purchase(key)) for n in range(5))
        outcomes = await asyncio.gather(*charges, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {UnavailableError}
        assert client.guard.state is BreakerState.OPEN
        with pytest.raises(UnavailableError) as refused:
            await client.charge(f"{key}-late", Purchase(key))
        assert not refused.value.maybe_done

    with_client(slow, use, timeout_s=0.1)


def test_a_full_bulkhead_refuses_at_once(start_provider: StartProvider, key: str) -> None:
    slow = start_provider(300)

    async def use(client: PaymentsClient) -> None:
        charges = (client.charge(f"{key}-{n}", Purchase(key)) for n in range(80))
        outcomes = await asyncio.gather(*charges, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, UnavailableError)]
        assert len(refused) == 80 - 64
        assert all("bulkhead" in outcome.reason for outcome in refused)

    with_client(slow, use)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"charge_id":"c","status":"under review"}',
        b'{"charge_id":"../ledger","status":"captured"}',
    ],
)
def test_an_answer_that_means_nothing_is_no_answer(key: str, body: bytes) -> None:
    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        client = PaymentsClient(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout_s=2.0)
        await client.open()
        try:
            with pytest.raises(UnavailableError) as unclear:
                await client.charge(key, Purchase(key))
            assert unclear.value.maybe_done
        finally:
            await client.close()
            server.close()
            await server.wait_closed()

    asyncio.run(main())
