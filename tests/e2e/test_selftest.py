"""The self-test on the whole system: one bug is caught, the clean system is silent, and the result is kept."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from harness.record.schema import SelfTestSummary
from harness.record.verdict import Verdict
from harness.selftest.cases import CaseOutcome, SelfTest
from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def done(room: Path) -> subprocess.CompletedProcess[str]:
    words = ("selftest", "--bug", "double_charge", "--clean", "1", "--jobs", "2", "--json", "--out", str(room / "runs"))
    environment = rehearsals.environment(room / "tmp") | {"XDG_STATE_HOME": str(room / "state")}
    return subprocess.run(
        rehearsals.command(*words), env=environment, cwd=rehearsals.ROOT, capture_output=True, text=True, timeout=400,
        check=False,
    )  # fmt: skip


def test_the_bug_is_caught_and_the_clean_run_raises_no_alarm(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    result = msgspec.json.decode(done.stdout, type=SelfTest)
    assert [(case.case.name, case.outcome) for case in result.results] == [
        ("double_charge", CaseOutcome.CAUGHT),
        ("clean-41", CaseOutcome.CLEAN),
    ]
    assert "money_reconciles" in result.results[0].violated
    assert "[2/2]" in done.stderr


def test_its_runs_are_kept_and_examined(done: subprocess.CompletedProcess[str]) -> None:
    planted, clean = msgspec.json.decode(done.stdout, type=SelfTest).results
    wrong, sound = (
        msgspec.json.decode((Path(case.run) / "verdict.json").read_bytes(), type=Verdict) for case in (planted, clean)
    )
    assert _money(wrong)["unexplained_cents"] == _money(wrong)["ordered_cents"] > 0
    assert _money(sound)["unexplained_cents"] == _money(sound)["intents_wrong"] == 0


def test_the_result_is_kept_for_later_reports(done: subprocess.CompletedProcess[str], room: Path) -> None:
    result = msgspec.json.decode(done.stdout, type=SelfTest)
    kept = msgspec.json.decode((room / "state/gatecrash/selftest.json").read_bytes(), type=SelfTestSummary)
    assert kept == result.summary()


def _money(verdict: Verdict) -> dict[str, float]:
    [money] = [one for one in verdict.examinations if one.name == "money"]
    return {figure.name: figure.value or 0.0 for figure in money.figures}
