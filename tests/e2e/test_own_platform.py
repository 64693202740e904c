"""A shop that is not ours, behind HTTPS and a login, rehearsed at its address: a verdict, a baseline, and no secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from harness.record.reader import Record
from harness.record.verdict import Verdict
from tests.e2e import rehearsals
from tests.e2e.rehearsals import ROOT, Rehearsed
from tests.guarded_shop import ENVIRONMENT, PASSWORD, guarded_shop
from tests.target.little_shop.shops import TOKEN

pytestmark = [pytest.mark.e2e, pytest.mark.needs_nginx]
FANS = 30


@pytest.fixture(scope="module")
def rehearsed(room: Path) -> Iterator[tuple[Rehearsed, str]]:
    """Through the command line: the scenario's address is nobody's, `--stack URL` says where the shop is."""
    with (
        guarded_shop(room, FANS + 2, "--stock", "50", "--basket-ttl", "4") as section,
        pytest.MonkeyPatch.context() as env,
    ):
        for name, value in ENVIRONMENT.items():
            env.setenv(name, value)
        url = str(section["url"])
        rules = {"stock": {"standing": 50}, "purchase_limit": 4, "hold_ttl_s": 4, "at_rest_within_s": 20}
        path = room / "guarded.yaml"
        document = {
            "name": "guarded",
            "description": "A shop behind nginx.",
            "duration_s": 12,
            "load": {"fans": FANS, "journey": {"think_s": 0.1, "patience_s": 8}},
            "platform": {**section, "url": "https://127.0.0.1:9/onsale", "baseline": "read", "rules": rules},
            "objectives": {"error_ratio": {"target": 0.01, "worst": 0.2}},
        }
        path.write_text(json.dumps(document, indent=1))  # JSON is YAML
        yield rehearsals.rehearse(room, str(path), "--stack", url.removesuffix("/onsale")), url


def test_fans_buy_and_there_is_a_verdict(rehearsed: tuple[Rehearsed, str]) -> None:
    (done, run, _), _ = rehearsed
    assert (run / "verdict.json").exists(), done.stderr
    verdict = msgspec.json.decode((run / "verdict.json").read_bytes(), type=Verdict)
    found = {one.name: one.status for one in verdict.invariants}
    assert found["no_oversell"] == "held", verdict.reason
    assert "violated" not in found.values()
    assert verdict.load is not None
    assert verdict.load.requests_sent == verdict.load.samples_recorded > FANS


def test_the_record_says_where_and_with_which_adapter(rehearsed: tuple[Rehearsed, str]) -> None:
    (_, run, _), url = rehearsed
    document = Record.open(run).run
    assert document.stack == "own"
    assert document.scenario["platform"]["url"] == url  # type: ignore[index]
    adapter = ROOT / "scenarios/little_shop/kinds.py"
    assert document.versions["adapter"] == hashlib.sha256(adapter.read_bytes()).hexdigest()
    assert "stock" in document.capabilities
    assert "queue" not in document.capabilities


def test_the_trial_purchase_is_in_the_baseline(rehearsed: tuple[Rehearsed, str]) -> None:
    (_, run, _), _ = rehearsed
    before = pq.read_table(run / "baseline_orders.parquet").to_pylist()
    assert len(before) == 1
    assert pq.read_table(run / "baseline_stock.parquet").to_pylist() == [
        {"pool": "standing", "free": 49, "held": 0, "sold": 1}
    ]
    after = pq.read_table(run / "final_orders.parquet").to_pylist()
    assert before[0]["order_id"] in {order["order_id"] for order in after}


def test_no_secret_is_anywhere(rehearsed: tuple[Rehearsed, str]) -> None:
    (done, run, temporary), _ = rehearsed
    secrets = [PASSWORD, TOKEN, *(f"word{number:04}" for number in range(FANS + 2))]
    said = [done.stdout.encode(), done.stderr.encode()]
    files = [path for folder in (run, temporary) for path in folder.rglob("*") if path.is_file()]
    kept = [rehearsals.content_of(path) for path in files]
    for secret in secrets:
        assert not any(secret.encode() in content for content in (*said, *kept)), secret
