"""Objectives from files in OpenSLO v1."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.scenario import load
from harness.scenario.openslo import Slo, read_slos

LATENCY = """\
apiVersion: openslo/v1
kind: SLO
metadata:
  name: hold-latency
  annotations: {gatecrash/step: hold, gatecrash/unit: ms, owner: team-a}
spec:
  service: tickets
  indicator:
    metadata: {name: hold}
    spec: {thresholdMetric: {metricSource: {type: Prometheus, spec: {query: hold_ms}}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: Occurrences
  objectives:
    - {displayName: fast, op: lte, value: 500, target: 0.99}
    - {displayName: never too slow, op: lte, value: 4000, target: 0.9995}
"""
ERRORS = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: availability, annotations: {gatecrash/step: all}}
spec:
  indicator: {spec: {ratioMetric: {counter: true, good: {}, total: {}}}}
  objectives: [{targetPercent: 99.5}]
"""
REFERS = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: hold-latency, annotations: {gatecrash/step: hold, gatecrash/unit: ms}}
spec:
  indicatorRef: hold-duration
  objectives: [{op: lte, value: 500, target: 0.99}]
"""
OTHERS = """\
apiVersion: openslo/v1
kind: Service
metadata: {name: tickets}
spec: {description: the shop}
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: disk}
spec: {objectives: [{target: 0.9}]}
"""
SCENARIO = "name: mine\ndescription: x\nduration_s: 60\nload: {fans: 2}\nopenslo: slos.yaml\n"


def written(folder: Path, *documents: str) -> Path:
    path = folder / "slos.yaml"
    path.write_text("---\n".join(documents))
    return path


def test_slos_about_a_step_are_read_and_others_are_passed_over(tmp_path: Path) -> None:
    assert read_slos(written(tmp_path, OTHERS, LATENCY, ERRORS)) == (
        Slo(name="hold-latency", step="hold", target=0.99, within_ms=500.0),
        Slo(name="hold-latency", step="hold", target=0.9995, within_ms=4000.0),
        Slo(name="availability", step="all", target=0.995),
    )


def test_seconds_are_the_unit_where_none_is_named(tmp_path: Path) -> None:
    bare = LATENCY.replace("gatecrash/unit: ms, ", "").replace("value: 500", "value: 0.5")
    assert read_slos(written(tmp_path, bare))[0].within_ms == 500.0


def test_a_percentile_that_we_measure_and_the_errors_become_objectives(tmp_path: Path) -> None:
    written(tmp_path, LATENCY, ERRORS)
    (tmp_path / "mine.yaml").write_text(SCENARIO + "objectives: {pay_response_p99_ms: {target: 1, worst: 2}}\n")
    scenario = load(str(tmp_path / "mine.yaml")).scenario
    told = {name: (one.target, one.worst) for name, one in scenario.objectives.items()}
    assert told == {
        "hold_response_p99_ms": (500.0, 2500.0),
        "error_ratio": (0.005, 0.025),
        "pay_response_p99_ms": (1.0, 2.0),
    }
    assert [slo.target for slo in scenario.slos] == [0.99, 0.9995, 0.995]


def test_what_the_scenario_says_itself_decides(tmp_path: Path) -> None:
    written(tmp_path, LATENCY)
    (tmp_path / "mine.yaml").write_text(SCENARIO + "objectives: {hold_response_p99_ms: {target: 80, worst: 90}}\n")
    assert load(str(tmp_path / "mine.yaml")).scenario.objectives["hold_response_p99_ms"].target == 80


@pytest.mark.parametrize("stricter_first", [True, False])
def test_of_two_on_one_indicator_the_strictest_decides(tmp_path: Path, stricter_first: bool) -> None:
    both = [LATENCY, LATENCY.replace("value: 500", "value: 400")]
    written(tmp_path, *(reversed(both) if stricter_first else both))
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    assert load(str(tmp_path / "mine.yaml")).scenario.objectives["hold_response_p99_ms"].target == 400


def test_errors_of_which_next_to_none_are_allowed_are_no_objective(tmp_path: Path) -> None:
    """Its target and its worst would be one number, and no score lies between them."""
    written(tmp_path, ERRORS.replace("99.5", "99.99999999999"))
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    assert load(str(tmp_path / "mine.yaml")).scenario.objectives == {}


def test_a_file_with_line_ends_of_windows_is_read_as_any_other(tmp_path: Path) -> None:
    path = written(tmp_path, OTHERS, LATENCY, ERRORS)
    unix = read_slos(path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert read_slos(path) == unix


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (LATENCY.replace("openslo/v1", "openslo/v1alpha"), r"slos.yaml:1: apiVersion: 'openslo/v1alpha' is not read"),
        (LATENCY.replace("step: hold", "step: hodl"), r"unknown step 'hodl'.*hold"),
        (LATENCY.replace("unit: ms", "unit: minutes"), r"unknown unit 'minutes'"),
        (LATENCY.replace("op: lte", "op: gte"), r"times are good below a threshold"),
        (LATENCY.replace("target: 0.99}", "target: 99}"), r"slos.yaml:14: .*expected a target between 0 and 1"),
        (LATENCY.replace("objectives:", "aims:"), r"slos.yaml:6: spec: .*objectives"),
        (LATENCY.replace("hold-latency", "x" * 201), r"slos.yaml:4: metadata.name: expected at most 200 characters"),
        (LATENCY.replace("Occurrences", "Timeslices"), r"slos.yaml:12: .*'Timeslices' is not read \(Occurrences\)"),
        (LATENCY.replace("thresholdMetric", "otherMetric"), r"expected an indicator with a thresholdMetric or a ratio"),
        (REFERS, r"slos.yaml:4: spec: expected an indicator with a.*an indicatorRef is not followed"),
        (OTHERS, "no SLO is about what fans do"),
        ("kind: SLO\n", "apiVersion"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, document: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        read_slos(written(tmp_path, document))
    assert refused.match(said)


def test_a_place_in_a_later_document_is_on_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"slos.yaml:19: metadata.*unknown step"):
        read_slos(written(tmp_path, LATENCY, ERRORS.replace("step: all", "step: ail")))


def test_a_file_that_is_not_there_is_said_in_the_scenario(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SCENARIO)
    with pytest.raises(InputError, match=r"mine.yaml:5: openslo: there is no file slos.yaml"):
        load(str(tmp_path / "mine.yaml"))
