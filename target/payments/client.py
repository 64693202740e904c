"""Our side of the payment provider: a time-out, a breaker and a bulkhead around every call.

After a call that was cut, the charge may have been made, or may still be made later. A caller that gets
`UnavailableError` asks again with the same key.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Protocol

import aiohttp
import msgspec
from msgspec import Meta

from target.payments.records import ChargeStatus
from target.runtime.breakers import GuardedCalls, UnavailableError
from target.telemetry.metrics import PAYMENTS
from target.telemetry.tracing import outgoing_headers

BULKHEAD_CALLS: Final = 64  # the most calls that a slow provider may occupy


class ProviderError(Exception):
    """The provider's answer has no meaning for us (5xx, or the refusal of a valid request)."""


class Payable(Protocol):
    """A checkout or an order to pay for."""

    @property
    def order_id(self) -> str:
        """Names the order."""

    @property
    def event(self) -> str:
        """Names the event; webhooks bring it back."""

    @property
    def amount_cents(self) -> int:
        """The price in cents."""

    @property
    def card(self) -> str:
        """The card."""


class ChargeAnswer(msgspec.Struct, frozen=True):
    """The charge under a key. `decline_code`: why the provider declined it."""

    charge_id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_-]{1,128}\Z")]  # because it becomes part of URLs
    status: ChargeStatus
    decline_code: str = ""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(ChargeAnswer).decode


class PaymentsClient:
    """The provider, as the saga sees it. Every method raises `UnavailableError` when it does not answer in time."""

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self.guard = GuardedCalls(
            "payments", failures=(aiohttp.ClientError, OSError, ProviderError), timeout_s=timeout_s
        )
        self._url = url
        self._free_calls = asyncio.Semaphore(BULKHEAD_CALLS)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Opens the connection pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=BULKHEAD_CALLS + 2), timeout=aiohttp.ClientTimeout(total=None)
        )

    async def close(self) -> None:
        """Closes every connection."""
        if self._session is not None:
            await self._session.close()

    async def charge(self, key: str, claim: Payable, *, capture: bool = True) -> ChargeAnswer:
        """Charges the claim's card, or only authorises the charge; once per key, however often it is called."""
        body = {
            "order_id": claim.order_id,
            "amount_cents": claim.amount_cents,
            "card": claim.card,
            "capture": capture,
            "reference": claim.event,
        }
        return await self._move("/charges", key=key, body=body, expected=(201, 402))

    async def capture(self, charge_id: str) -> ChargeAnswer:
        """Captures an authorised charge. The answer has the charge's status, which may be voided."""
        return await self._move(f"/charges/{charge_id}/capture", expected=(200, 409))

    async def void(self, charge_id: str) -> ChargeAnswer:
        """Voids an authorised charge. The answer has the charge's status, which may be captured."""
        return await self._move(f"/charges/{charge_id}/void", expected=(200, 409))

    async def find_charge(self, key: str) -> ChargeAnswer | None:
        """The charge made under this key; None: there is none yet (one may still be under way)."""
        status, body = await self._call("GET", f"/charges/by-key/{key}", expected=(200, 404))
        return None if status == 404 else _answer(body)

    async def refund(self, charge_id: str) -> None:
        """Refunds a captured charge, once however often it is called."""
        key = f"refund-{charge_id}"
        await self._call("POST", "/refunds", key=key, body={"charge_id": charge_id}, expected=(201,))
        PAYMENTS.labels("refunded").inc()

    async def ping(self) -> None:
        """Asks for the provider's health page, which shows refusals and delays on the way."""
        await self._send("GET", "/healthz", "", None, (200,))

    async def _move(
        self, path: str, *, key: str = "", body: dict[str, object] | None = None, expected: tuple[int, ...]
    ) -> ChargeAnswer:
        """Makes a call that may move money, and counts it by its end."""
        try:
            _, answer = await self._call("POST", path, key=key, body=body, expected=expected)
        except UnavailableError as error:
            if error.maybe_done:
                PAYMENTS.labels("timeout" if isinstance(error.__cause__, TimeoutError) else "error").inc()
            raise
        charge = _answer(answer)
        PAYMENTS.labels(charge.status).inc()
        return charge

    async def _call(
        self, method: str, path: str, *, key: str = "", body: dict[str, object] | None = None, expected: tuple[int, ...]
    ) -> tuple[int, bytes]:
        if self._free_calls.locked():
            raise UnavailableError("payments", "bulkhead full", maybe_done=False)
        async with self._free_calls:
            return await self.guard.call(lambda: self._send(method, path, key, body, expected), operation=method)

    async def _send(
        self, method: str, path: str, key: str, body: dict[str, object] | None, expected: tuple[int, ...]
    ) -> tuple[int, bytes]:
        if self._session is None:
            raise RuntimeError("open() was not called")
        headers = outgoing_headers() | ({"idempotency-key": key} if key else {})
        data = None if body is None else _encode(body)
        async with self._session.request(method, self._url + path, data=data, headers=headers) as response:
            content = await response.read()
            if response.status not in expected:
                raise ProviderError(f"{method} {path} answered {response.status}")
            return response.status, content


def _answer(body: bytes) -> ChargeAnswer:
    """The charge in an answer. Raises `UnavailableError` when the answer does not tell the charge's status."""
    try:
        return _decode(body)
    except msgspec.DecodeError as error:
        raise UnavailableError("payments", "an answer that means nothing to us", maybe_done=True) from error
