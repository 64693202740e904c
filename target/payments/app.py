"""The payment provider's HTTP API. It knows nothing of seats or fans, and imports nothing of the booking side.

POST /charges                         capture (or authorise, with "capture": false) under an Idempotency-Key
POST /charges/{id}/capture|void       the two ends of an authorisation
GET  /charges/{id}, /charges/by-key/{key}
POST /refunds                         refunds a captured charge
GET  /ledger, GET|PUT /switches       for the operator, with the bearer token
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from target.payments.courier import Courier
from target.payments.ledger import Ledger
from target.payments.records import (
    SLOW_CARD,
    Charge,
    ChargeKeyReusedError,
    ChargeRequest,
    ChargeStatus,
    NoSuchChargeError,
    NotRefundableError,
    WrongStatusError,
)
from target.payments.refusals import RefusedError, problem, read, refused
from target.payments.switches import Switches

T = TypeVar("T")

SLOW_CARD_S: Final = 8.0


class ProviderConfig(msgspec.Struct, frozen=True):
    """The provider's settings. An empty `webhook_url`: it sends no webhooks."""

    ledger_path: Path
    think_time_s: float = 0.0
    admin_token: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    switches: Switches = Switches()


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /refunds."""

    charge_id: str


def payments_app(config: ProviderConfig) -> Starlette:
    """The provider as an ASGI application; it opens its ledger when it starts serving."""
    provider = _Provider(config)
    app = Starlette(
        routes=[
            Route("/charges", provider.charge, methods=["POST"]),
            Route("/charges/by-key/{key}", provider.charge_by_key),
            Route("/charges/{charge_id}", provider.charge_by_id),
            Route("/charges/{charge_id}/capture", provider.capture, methods=["POST"]),
            Route("/charges/{charge_id}/void", provider.void, methods=["POST"]),
            Route("/refunds", provider.refund, methods=["POST"]),
            Route("/ledger", provider.ledger_export),
            Route("/switches", provider.show_switches),
            Route("/switches", provider.put_switches, methods=["PUT"]),
            Route("/healthz", _health),
            Route("/metrics", _metrics),
        ],
        exception_handlers={
            RefusedError: refused,
            HTTPException: refused,
            Exception: refused,
            ChargeKeyReusedError: _key_reused,
            NoSuchChargeError: _no_such_charge,
            WrongStatusError: _wrong_status,
            NotRefundableError: _not_refundable,
        },
        lifespan=provider.lifespan,
    )
    app.router.redirect_slashes = False
    return app


class _Provider:
    def __init__(self, config: ProviderConfig) -> None:
        self._config = config
        self._ledger = Ledger(config.ledger_path, report=bool(config.webhook_url))
        self._switches = config.switches
        self._courier: Courier | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._ledger.open()
        if self._config.webhook_url:
            config = self._config
            self._courier = Courier(self._ledger, config.webhook_url, config.webhook_secret, lambda: self._switches)
            sending = asyncio.create_task(self._courier.run())
            yield
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        else:
            yield
        self._ledger.close()

    async def charge(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        body = await read(request, ChargeRequest)
        if not key:
            raise RefusedError(422, "an Idempotency-Key is needed")
        charge = await self._act(lambda: self._ledger.charge(key, body))
        if body.card == SLOW_CARD:
            await asyncio.sleep(SLOW_CARD_S)
        return _json(charge, 402 if charge.status is ChargeStatus.DECLINED else 201)

    async def charge_by_key(self, request: Request) -> Response:
        return _found(await self._ledger.charge_by_key(request.path_params["key"]))

    async def charge_by_id(self, request: Request) -> Response:
        return _found(await self._ledger.charge_by_id(request.path_params["charge_id"]))

    async def capture(self, request: Request) -> Response:
        charge_id = request.path_params["charge_id"]
        return _json(await self._act(lambda: self._ledger.capture(charge_id)), 200)

    async def void(self, request: Request) -> Response:
        charge = await self._ledger.void(request.path_params["charge_id"])
        self._tell()
        return _json(charge, 200)

    async def refund(self, request: Request) -> Response:
        body = await read(request, RefundRequest)
        key = request.headers.get("idempotency-key", "") or body.charge_id
        refund = await self._ledger.refund(key, body.charge_id)
        self._tell()
        return _json(refund, 201)

    async def ledger_export(self, request: Request) -> Response:
        self._authorise(request)
        lines = msgspec.json.Encoder().encode_lines(await self._ledger.rows())
        return Response(lines, media_type="application/x-ndjson")

    async def show_switches(self, request: Request) -> Response:
        self._authorise(request)
        return _json(self._switches, 200)

    async def put_switches(self, request: Request) -> Response:
        """Sets all switches: those that the body does not name become normal again."""
        self._authorise(request)
        self._switches = await read(request, Switches)
        return _json(self._switches, 200)

    async def _act(self, work: Callable[[], Awaitable[T]]) -> T:
        """Moves money, and misbehaves as the switches say."""
        await asyncio.sleep(self._config.think_time_s)
        fault, delay_s = self._switches.draw_charge(), self._switches.charge_delay_s
        if fault == "error":
            raise RefusedError(500, "internal error")
        if fault == "slow":
            await asyncio.sleep(delay_s)
        done = await work()
        self._tell()
        if fault == "capture_then_timeout":
            await asyncio.sleep(delay_s)
        if fault == "capture_then_error":
            raise RefusedError(500, "internal error")
        return done

    def _tell(self) -> None:
        if self._courier is not None:
            self._courier.wake()

    def _authorise(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        token = self._config.admin_token
        if not token or not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise RefusedError(401, "a bearer token is needed")


def _json(body: msgspec.Struct, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _found(charge: Charge | None) -> Response:
    return problem(404, "no such charge") if charge is None else _json(charge, 200)


async def _key_reused(_request: Request, _error: Exception) -> Response:
    return problem(422, "this Idempotency-Key was used with another body")


async def _no_such_charge(_request: Request, _error: Exception) -> Response:
    return problem(404, "no such charge")


async def _not_refundable(_request: Request, _error: Exception) -> Response:
    return problem(422, "nothing was captured under this charge")


async def _wrong_status(_request: Request, error: Exception) -> Response:
    """409 with the charge's present status: it does not allow the requested change."""
    assert isinstance(error, WrongStatusError)  # noqa: S101 - registered for this type only
    return _json(error.charge, 409)


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
