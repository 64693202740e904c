"""Each fault of a recorded rehearsal fires its alert within 5 s; a sale without faults fires none.

promtool, where it is in PATH, evaluates the rules as Prometheus does.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.harness.stack.alerts.recorded import RULES, Recording, Series, load, metrics_of_rules
from tests.test_docs import RUNBOOKS, headings

WITHIN_S = 5
ALERTS = {
    "redis-down": "RedisUnreachable",
    "db-unreachable": "PrimaryUnreachable",
    "websocket-drops": "FeedReconnectHerd",
    "payment-latency-8s": "PaymentProviderFailing",
}
RULE_LIST = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]


def written(value: float | None) -> str:
    return "_" if value is None else f"{value:g}"


def called(one: Series) -> str:
    labels = ",".join(f'{key}="{value}"' for key, value in sorted(one.labels.items()))
    return f"{one.name}{{{labels}}}"


def tried(recording: Recording, expected: list[dict[str, Any]], folder: Path) -> subprocess.CompletedProcess[str]:
    """What promtool says of the rules over these series."""
    inputs = [{"series": called(one), "values": " ".join(map(written, one.values))} for one in recording.series]
    document = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1s",
        "tests": [{"interval": "1s", "input_series": inputs, "promql_expr_test": expected}],
    }
    path = folder / "tests.yml"
    path.write_text(yaml.safe_dump(document))
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool in PATH")
    return subprocess.run([promtool, "test", "rules", str(path)], capture_output=True, text=True, check=False)


def firing(alert: str, at_s: int, count: int | None, *, in_last_s: int = 1) -> dict[str, Any]:
    """In the seconds before that one of the recording, so many alerts fired; none for null."""
    samples = [] if count is None else [{"labels": "{}", "value": count}]
    asked = f'count(max_over_time(ALERTS{{alertname=~"{alert}",alertstate="firing"}}[{in_last_s}s]))'
    return {"expr": asked, "eval_time": f"{at_s}s", "exp_samples": samples}


def test_the_recordings_hold_what_the_rules_ask_for() -> None:
    for name in ("faults", "clean"):
        assert {one.name for one in load(name).series} == metrics_of_rules()
    assert load("faults").faults.keys() == ALERTS.keys()
    assert load("clean").faults == {}


@pytest.mark.parametrize("experiment", ALERTS)
def test_a_fault_fires_its_alert_in_time_and_not_before(experiment: str, tmp_path: Path) -> None:
    recording = load("faults")
    effective_s, _ = recording.faults[experiment]
    begin_s = math.floor(effective_s) - recording.begin_s
    alert = ALERTS[experiment]
    known = [firing(alert, begin_s, None), firing(alert, begin_s + WITHIN_S, 1, in_last_s=WITHIN_S)]
    done = tried(recording, known, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_other_alert_fires_while_one_of_them_is_in_force(tmp_path: Path) -> None:
    recording = load("faults")
    effective_s, _ = recording.faults["redis-down"]
    at_s = math.floor(effective_s) - recording.begin_s + 2
    others = "|".join(set(ALERTS.values()) - {"RedisUnreachable"})
    done = tried(recording, [firing(others, at_s, None)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_sale_without_faults_fires_none(tmp_path: Path) -> None:
    recording = load("clean")
    length_s = len(recording.series[0].values)
    assert length_s > 30
    done = tried(recording, [firing(".+", at_s, None) for at_s in range(length_s)], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", RULE_LIST, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_and_where_its_runbook_is(rule: dict[str, Any]) -> None:
    document, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert (document, anchor in headings(RUNBOOKS)) == (RUNBOOKS, True)
    assert rule["annotations"]["summary"].endswith(".")
