"""How the shop takes money: from a provider over HTTP, or in this process when no provider was named."""

from __future__ import annotations

from typing import Protocol

import aiohttp
import msgspec

from target.little_shop.sale.ledger import Charge, ChargeRequest, Ledger


class PaymentUnknownError(Exception):
    """No answer, or none that says whether the card was charged. Asking again under the same key is safe."""


class Payments(Protocol):
    """See the module."""

    async def charge(self, asked: ChargeRequest) -> Charge:
        """Raises `PaymentUnknownError`."""

    async def entries(self) -> list[Charge]:
        """What the provider has booked. Raises `PaymentUnknownError`."""

    async def reset(self) -> None:
        """Forgets everything, before a rehearsal. Raises `PaymentUnknownError`."""

    async def close(self) -> None:
        """Drops the connections."""


class OwnLedger:
    """Payments without a provider."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def charge(self, asked: ChargeRequest) -> Charge:
        """Books it."""
        return self._ledger.charge(asked)

    async def entries(self) -> list[Charge]:
        """What was booked."""
        return self._ledger.entries()

    async def reset(self) -> None:
        """Forgets everything."""
        self._ledger.reset()

    async def close(self) -> None:
        """Has no connections."""


class Provider:
    """Payments over HTTP (`provider.py`)."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def charge(self, asked: ChargeRequest) -> Charge:
        """One try."""
        return msgspec.json.decode(await self._ask("POST", "/charges", msgspec.json.encode(asked)), type=Charge)

    async def entries(self) -> list[Charge]:
        """The provider's ledger."""
        return msgspec.json.decode(await self._ask("GET", "/ledger"), type=list[Charge])

    async def reset(self) -> None:
        """Empties the provider's ledger."""
        await self._ask("POST", "/reset")

    async def close(self) -> None:
        """Drops the connections."""
        if self._session is not None:
            await self._session.close()

    async def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(method, self._url + path, data=body) as response:
                response.raise_for_status()
                return await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PaymentUnknownError(f"{method} {path}: {error!r}") from error
