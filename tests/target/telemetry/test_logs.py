"""What processes write to their logs: lines with the trace id, in text or JSON, and no secret in any of them."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.http.tickets import Signer
from target.settings import Settings
from target.telemetry import logs
from target.telemetry.logs import HIDDEN, Redactor
from target.telemetry.tracing import caller_of, leave, within
from tests.target.conftest import Valkey
from tests.target.orders.test_orders_over_http import BASE
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, SECRET, running
from tests.target.telemetry.test_tracing import SAMPLED, TRACE

PASSWORD = "open-sesame"


@pytest.fixture
def _own_logging() -> object:
    before, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:], logging.root.level = before, level


@pytest.mark.usefixtures("_own_logging")
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_line_has_its_trace_and_no_secret(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings(node="n-1", secret="s3cret-key", log_format=log_format))  # type: ignore[arg-type]
    before = within(caller_of(SAMPLED))
    try:
        int("s3cret-key")
    except ValueError:
        logging.getLogger("target.x").exception("cannot reach %s", f"postgresql://user:{PASSWORD}@host:5432/db")
    finally:
        leave(before)
    logging.getLogger("target.x").info("later")
    said = capsys.readouterr().err
    assert TRACE in said
    assert "ValueError" in said
    assert "postgresql://user:[hidden]@host:5432/db" in said
    assert "s3cret-key" not in said
    assert PASSWORD not in said
    assert TRACE not in said.splitlines()[-1]
    if log_format == "json":
        failed, later = map(json.loads, said.splitlines())
        assert (failed["trace_id"], failed["level"], failed["node"]) == (TRACE, "error", "n-1")
        assert (later["message"], later["logger"], later["level"]) == ("later", "target.x", "info")
        assert "trace_id" not in later


@given(st.text("abcdefghijkXYZ019", min_size=1), st.text("abc ", max_size=9))
def test_signed_tokens_are_taken_out_wherever_they_are(fan: str, around: str) -> None:
    token = Signer("k", "e").ticket(fan, fan, 1)
    assert Redactor(())(f"{around}|{token}|{around}") == f"{around}|{HIDDEN}|{around}"


def test_digests_and_words_stay() -> None:
    text = f"trace {TRACE}{TRACE} of {'x' * 47}"
    assert Redactor(("",))(text) == text


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_real_processes_in_trouble_write_no_secret(
    valkey: Valkey, truth: Truth, tmp_path: Path, log_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    settings = {
        "redis_url": valkey.url,
        "primary_dsn": f"postgresql://user:{PASSWORD}@127.0.0.1:9/none",  # nobody is there
        "replica_dsn": truth.replica_dsn,
        "payments_url": "http://127.0.0.1:9",
        "webhook_secret": "webhook-key",
        "log_format": log_format,
    }
    signer = Signer(SECRET, EVENT)
    ticket = signer.ticket("f", "f", 1)
    admission, _ = signer.admit("f", "f", admission_no=1, limit=4, entered_s=4e9)
    with running("worker", **settings), running("booking", **settings) as booking, running("feed", **settings) as feed:
        for header in (f"Pass {admission}", f"Queue {ticket}", f"Pass {admission}x", f"Bearer {ADMIN_TOKEN}"):
            auth = {"Authorization": header, "Traceparent": SAMPLED, "Idempotency_Key": "k"}
            for body in ({"hold_id": admission, "card": "ok"}, {"seats": ["101-A-1"]}, "{", {}):
                booking.ask("POST", f"{BASE}/orders", body, **auth)
                booking.ask("POST", f"{BASE}/holds", body, **auth)
            booking.ask("POST", f"{BASE}/admission", **auth)
            booking.ask("DELETE", f"{BASE}/holds/{ticket}", **auth)
            feed.ask("GET", f"/feed/{EVENT}?epoch={ticket}", **auth)
    said = capfd.readouterr().err
    sys.stderr.write(said)
    assert said
    for secret in (SECRET, ADMIN_TOKEN, PASSWORD, "webhook-key", ticket, admission):
        assert secret not in said
    if log_format == "json":
        for line in said.splitlines():
            assert {"at", "level", "node", "logger", "message"} <= set(json.loads(line))
