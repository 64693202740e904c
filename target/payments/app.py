"""The payment provider's HTTP API. It knows nothing of seats or fans, and imports nothing of the booking side."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from target.payments.ledger import Charge, ChargeRequest, KeyReusedError, Ledger, NotRefundableError


class RefundRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /refunds."""

    charge_id: str


class ErrorBody(msgspec.Struct, frozen=True):
    """What the provider says when it will not do a thing."""

    error: str


def payments_app(ledger_path: Path, think_time_s: float, admin_token: str) -> Starlette:
    """The provider as an ASGI application; it opens its ledger when it starts serving."""
    provider = _Provider(Ledger(ledger_path), think_time_s, admin_token)
    return Starlette(
        routes=[
            Route("/charges", provider.charge, methods=["POST"]),
            Route("/charges/by-key/{key}", provider.charge_by_key),
            Route("/refunds", provider.refund, methods=["POST"]),
            Route("/ledger", provider.ledger_export),
            Route("/healthz", _health),
            Route("/metrics", _metrics),
        ],
        lifespan=provider.lifespan,
    )


class _Provider:
    def __init__(self, ledger: Ledger, think_time_s: float, admin_token: str) -> None:
        self._ledger = ledger
        self._think_time_s = think_time_s
        self._authorization = f"Bearer {admin_token}".encode()

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._ledger.open()
        yield
        self._ledger.close()

    async def charge(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        try:
            body = msgspec.json.decode(await request.body(), type=ChargeRequest)
        except msgspec.DecodeError as error:
            return _json(ErrorBody(str(error)), 422)
        if not key or body.amount_cents <= 0:
            return _json(ErrorBody("an Idempotency-Key and a positive amount are needed"), 422)
        await asyncio.sleep(self._think_time_s)
        try:
            return _charge_answer(await self._ledger.charge(key, body))
        except KeyReusedError:
            return _json(ErrorBody("this Idempotency-Key was used with another body"), 422)

    async def charge_by_key(self, request: Request) -> Response:
        found = await self._ledger.charge_by_key(request.path_params["key"])
        return _json(ErrorBody("no charge with this key"), 404) if found is None else _json(found, 200)

    async def refund(self, request: Request) -> Response:
        key = request.headers.get("idempotency-key", "")
        try:
            body = msgspec.json.decode(await request.body(), type=RefundRequest)
            return _json(await self._ledger.refund(key or body.charge_id, body.charge_id), 201)
        except msgspec.DecodeError as error:
            return _json(ErrorBody(str(error)), 422)
        except KeyReusedError:
            return _json(ErrorBody("this Idempotency-Key was used with another body"), 422)
        except NotRefundableError:
            return _json(ErrorBody("nothing was captured under this charge"), 422)

    async def ledger_export(self, request: Request) -> Response:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, self._authorization):
            return _json(ErrorBody("a bearer token is needed"), 401)
        lines = msgspec.json.Encoder().encode_lines(await self._ledger.rows())
        return Response(lines, media_type="application/x-ndjson")


def _charge_answer(charge: Charge) -> Response:
    return _json(charge, 402 if charge.status == "declined" else 201)


def _json(body: msgspec.Struct, status: int) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def _health(_request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _metrics(_request: Request) -> Response:
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
