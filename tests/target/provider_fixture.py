"""The payment provider as its own process, with a ledger that tests can read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from target.payments.records import LedgerRow
from tests.target.processes import ADMIN_TOKEN, Server, running


class StartProvider(Protocol):
    """What the fixture `start_provider` gives."""

    def __call__(self, think_time_ms: int, **settings: object) -> Provider:
        """A provider with this think time and these settings."""


class Provider:
    """A running provider."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"http://127.0.0.1:{server.port}"

    def ledger(self) -> list[LedgerRow]:
        answer = self.server.ask("GET", "/ledger", Authorization=f"Bearer {ADMIN_TOKEN}")
        return msgspec.json.Decoder(LedgerRow).decode_lines(answer.body)

    def switch(self, **switches: object) -> None:
        """Turns these switches; all others are normal again."""
        answer = self.server.ask("PUT", "/switches", switches, Authorization=f"Bearer {ADMIN_TOKEN}")
        assert answer.status == 200, answer.body

    def entries(self, order_id: str) -> list[str]:
        """The ledger's entries for an order: capture, refund, decline."""
        return [row.entry for row in self.ledger() if row.order_id == order_id]


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that answers at once; its ledger keeps growing through the session."""
    ledger = tmp_path_factory.mktemp("provider") / "ledger.sqlite"
    with running("payments", ledger_path=ledger, payment_time_ms=0) as server:
        yield Provider(server)


@pytest.fixture
def start_provider(tmp_path: Path) -> Iterator[StartProvider]:
    """Starts providers with a think time in ms, all on one ledger file."""
    with ExitStack() as started:

        def start(think_time_ms: int, **settings: object) -> Provider:
            ledger = tmp_path / "ledger.sqlite"
            own = {"ledger_path": ledger, "payment_time_ms": think_time_ms} | settings
            return Provider(started.enter_context(running("payments", **own)))

        yield start
