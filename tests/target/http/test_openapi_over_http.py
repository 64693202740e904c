"""Booking and worker do what their OpenAPI documents say: schemathesis asks them, with credentials and without.

For every operation: right and wrong input, no undeclared status, content type, header or shape of an answer, no 5xx
but the declared 503, and no answer without the token that is declared.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from target.http.tickets import Signer
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, ROOT, SECRET, Server, running
from tests.target.provider_fixture import Provider

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)
SEATS_AND_ORDERS = ("--include-tag", "seats", "--include-tag", "orders")
EXAMPLES = 15  # for each operation
SEED = 20_261
WITHIN_S = 240.0
STREAM = "/api/events/{event}/queue/positions"  # it does not end for somebody who is let in


@dataclass(frozen=True)
class Platform:
    booking: Server
    worker: Server


@pytest.fixture(scope="module")
def valkey_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def platform(valkey_of_module: Valkey, shared_truth: Truth, provider: Provider) -> Iterator[Platform]:
    shared_truth.empty()
    settings = {
        "redis_url": valkey_of_module.url,
        "primary_dsn": shared_truth.primary_dsn,
        "replica_dsn": shared_truth.replica_dsn,
        "payments_url": provider.url,
        "hold_ttl_s": 60,
        "queue_policy": "shuffle",
        "opens_at_s": time.time() - 60,
    }
    with running("worker", **settings) as worker, running("booking", **settings) as booking:
        eventually(lambda: booking.ask("GET", f"/api/events/{EVENT}/seats").json["source"] == "redis", why="the seats")
        yield Platform(booking, worker)


def _pass() -> str:
    return f"Pass {Signer(SECRET, EVENT).admit('f', 'f', admission_no=1, limit=4, entered_s=time.time())[0]}"


def _ask_everything(server: Server, *options: str, without: str = "") -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"http://127.0.0.1:{server.port}/openapi.json"]
    own = (
        "--checks",
        ",".join(set(CHECKS) - {without}),
        "--max-examples",
        str(EXAMPLES),
        "--seed",
        str(SEED),
        "--no-color",
    )
    phases = ("--phases", "examples,coverage,fuzzing", "--generation-database", "none", "--request-timeout", "10")
    done = subprocess.run(
        [*command, *own, *phases, *options], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_booking_without_credentials(platform: Platform) -> None:
    _ask_everything(platform.booking)


def test_booking_with_a_pass(platform: Platform) -> None:
    _ask_everything(platform.booking, "-H", f"Authorization: {_pass()}", *SEATS_AND_ORDERS)


def test_booking_with_a_queue_ticket(platform: Platform) -> None:
    ticket = Signer(SECRET, EVENT).ticket("f", "f", time.time_ns() // 1000)
    options = ("-H", f"Authorization: Queue {ticket}", "--include-tag", "queue", "--exclude-path", STREAM)
    _ask_everything(platform.booking, *options, without="negative_data_rejection")  # who has a ticket needs no body


def test_the_worker_with_the_operators_token(platform: Platform) -> None:
    _ask_everything(platform.worker, "-H", f"Authorization: Bearer {ADMIN_TOKEN}")


def test_the_worker_without_credentials(platform: Platform) -> None:
    _ask_everything(platform.worker)


def test_booking_without_redis(platform: Platform, valkey_of_module: Valkey) -> None:
    valkey_of_module.kill()
    try:
        _ask_everything(
            platform.booking, "-H", f"Authorization: {_pass()}", *SEATS_AND_ORDERS, without="not_a_server_error"
        )
    finally:
        valkey_of_module.start()
