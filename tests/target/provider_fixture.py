"""The payment provider as its own process, with a ledger that tests can read."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from harness.stack.ports import accepts, free_ports
from target.payments.ledger import LedgerRow
from tests.waiting import wait_until

ADMIN_TOKEN = "operator"


@dataclass
class Provider:
    """A running provider."""

    port: int
    ledger_path: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ledger(self) -> list[LedgerRow]:
        request = urllib.request.Request(f"{self.url}/ledger", headers={"authorization": f"Bearer {ADMIN_TOKEN}"})
        with urllib.request.urlopen(request, timeout=5) as response:
            return msgspec.json.Decoder(LedgerRow).decode_lines(response.read())

    def entries(self, order_id: str) -> list[str]:
        """The ledger's entries for an order: capture, refund, decline."""
        return [row.entry for row in self.ledger() if row.order_id == order_id]

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=5)


def start(ledger_path: Path, think_time_ms: int) -> Provider:
    (port,) = free_ports(1)
    settings = {
        "TARGET_LISTEN": f"127.0.0.1:{port}",
        "TARGET_NODE": "payments",
        "TARGET_LEDGER_PATH": str(ledger_path),
        "TARGET_PAYMENT_TIME_MS": str(think_time_ms),
        "TARGET_ADMIN_TOKEN": ADMIN_TOKEN,
    }
    command = [sys.executable, "-m", "target", "payments"]
    process = subprocess.Popen(command, env={**os.environ, **settings})
    wait_until(lambda: accepts(port), within_s=10, what="the provider")
    return Provider(port, ledger_path, process)


@pytest.fixture(scope="session")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """A provider that answers at once; its ledger keeps growing through the session."""
    running = start(tmp_path_factory.mktemp("provider") / "ledger.sqlite", 0)
    yield running
    assert running.stop() == 0


@pytest.fixture
def start_provider(tmp_path: Path) -> Iterator[Callable[[int], Provider]]:
    """Starts providers with a think time in ms, each on the same ledger file."""
    running: list[Provider] = []

    def launch(think_time_ms: int) -> Provider:
        running.append(start(tmp_path / "ledger.sqlite", think_time_ms))
        return running[-1]

    yield launch
    for one in running:
        if one.process.poll() is None:
            one.stop()
