"""The provider answers bad input with problem documents, and never with a traceback."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from target.payments.ledger import Ledger
from target.payments.records import ChargeRequest
from target.payments.refusals import BODY_BYTES_MAX
from tests.target.processes import ADMIN_TOKEN
from tests.target.provider_fixture import Provider

CHARGE = {"order_id": "o", "amount_cents": 100, "card": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/charges", b"", 422),
        ("POST", "/charges", b"\xff", 422),
        ("POST", "/charges", CHARGE | {"amount_cents": 0}, 422),
        ("POST", "/charges", CHARGE | {"amount_cents": -1}, 422),
        ("POST", "/charges", CHARGE | {"amount_cents": 2**70}, 422),
        ("POST", "/charges", CHARGE | {"more": 1}, 422),
        ("POST", "/charges", b"x" * (BODY_BYTES_MAX + 1), 413),
        ("GET", "/charges", None, 405),
        ("GET", "/charges/by-key/%00", None, 404),
        ("GET", "/charges/%ff", None, 404),
        ("POST", "/charges/nobody/capture", None, 404),
        ("POST", "/charges/nobody/void", None, 404),
        ("POST", "/refunds", {"charge_id": "\u0000"}, 422),
        ("GET", "/ledger", None, 401),
        ("PUT", "/switches", {}, 401),
        ("GET", "/ledger/", None, 404),
    ],
)
def test_bad_input_is_a_problem(provider: Provider, method: str, path: str, body: object, status: int) -> None:
    answer = provider.server.ask(method, path, body, Idempotency_Key="refusals")
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json["status"] == status


def test_the_operator_too_is_refused_what_is_not_a_switch(provider: Provider) -> None:
    answer = provider.server.ask("PUT", "/switches", {"webhooks": "eaten"}, Authorization=f"Bearer {ADMIN_TOKEN}")
    assert answer.status == 422


def test_one_broken_job_leaves_the_ledger_to_the_others(tmp_path: Path) -> None:
    asyncio.run(_break_and_go_on(Ledger(tmp_path / "ledger.sqlite")))


async def _break_and_go_on(ledger: Ledger) -> None:
    ledger.open()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(OverflowError):
                await ledger.charge("k1", ChargeRequest("o1", 2**70, "ok"))
            assert (await ledger.charge("k2", ChargeRequest("o2", 100, "ok"))).amount_cents == 100
            assert [row.order_id for row in await ledger.rows()] == ["o2"]
    finally:
        ledger.close()
