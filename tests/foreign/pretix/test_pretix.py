"""What can be known of the rehearsal of pretix without pretix. `gate.py` is the rehearsal itself."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import certifi
import pytest

from harness.adapter.checking.describe import describe
from tests.foreign.pretix.gate import MUST_HOLD, wrong

HERE = Path(__file__).parent
LINES_MAX = 150

GOOD = {
    "verdict": "READY",
    "reason": "",
    "invariants": [{"name": name, "status": "held"} for name in MUST_HOLD],
    "faults": [{"name": "latency-db", "proven": True}],
    "load": {"requests_sent": 9, "samples_recorded": 9},
}


def test_the_adapter_has_every_verb_that_it_declares_and_stays_short() -> None:
    described = describe(f"{HERE / 'shop.py'}:Pretix")
    assert described.problems == ()
    assert set(described.capabilities) == {"stock", "hold_release", "lookup", "order_export", "ledger_export"}
    assert len((HERE / "shop.py").read_text().splitlines()) <= LINES_MAX


@pytest.mark.parametrize("name", ["onsale.yaml", "unlocked.yaml"])
def test_the_scenarios_can_be_rehearsed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in (name, "shop.py", "people.csv"):
        shutil.copy(HERE / file, tmp_path)
    (tmp_path / ".instance").mkdir()
    shutil.copy(
        certifi.where(), tmp_path / ".instance" / "certificate.pem"
    )  # one of its own is made with each instance
    command = [sys.executable, "-m", "harness", "scenario", "check", str(tmp_path / name)]
    monkeypatch.setenv("PRETIX_TOKEN", "any")
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[2])
    assert (done.returncode, done.stderr) == (0, "")


def test_the_gate_accepts_what_pretix_deserves() -> None:
    assert wrong(GOOD) == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda verdict: verdict["invariants"][0].update(status="violated"), "no_oversell is violated"),
        (lambda verdict: verdict["invariants"][0].update(status="not_exercised"), "no_oversell is not_exercised"),
        (lambda verdict: verdict.update(verdict="NO VERDICT", reason="crashes"), "NO VERDICT: crashes"),
        (lambda verdict: verdict["faults"][0].update(proven=False), "fault latency-db was not proven"),
        (lambda verdict: verdict["load"].update(samples_recorded=8), "requests were lost"),
    ],
)
def test_the_gate_refuses_a_false_alarm_and_a_blind_run(change, problem: str) -> None:
    verdict = copy.deepcopy(GOOD)
    change(verdict)
    assert wrong(verdict) == [problem]
