"""What the generator added to response times: by step, taken off the figures, and held against what they decide."""

from __future__ import annotations

import msgspec
import pytest

from harness.audit import audit
from harness.judging.grade import grade
from harness.judging.overstatement import by_step, doubts, without_it
from harness.record.verdict import Decision, SliResult, Validity, Verdict
from harness.scenario import Objective
from harness.sli import IndicatorValue, measure
from tests.builders import RunBuilder


def slowed(builder: RunBuilder, step: str, own_ms: float) -> RunBuilder:
    """As if the generator had noticed each answer of that step so much later."""
    operations = {(op["actor"], op["function"], op["t_invoke_s"]): op for op in builder.tables["operations"]}
    for row in builder.tables["requests"]:
        row["overstated_ms"] = 0.05
        operation = operations.get((row["actor"], row["step"], row["t_start_s"]))
        if operation is not None:
            row["op"] = operation["op"]
        if row["step"] == step:
            row["t_end_s"] = float(str(row["t_end_s"])) + own_ms / 1000.0
            row["overstated_ms"] = own_ms
            if operation is not None:
                operation["t_complete_s"] = float(str(operation["t_complete_s"])) + own_ms / 1000.0
    return builder


def named(values: tuple[IndicatorValue, ...], name: str) -> IndicatorValue:
    return next(value for value in values if value.name == name)


def sli(score: float | None, *, met: bool = False, name: str = "hold_response_p99_ms", value: float = 0.0) -> SliResult:
    return SliResult(
        name=name, value=value, unit="ms", objective=100.0, met=met, score=score, samples=9, title="Hold response p99"
    )


def judged(builder: RunBuilder, **changes: object) -> Verdict:
    builder.changed(scenario=msgspec.to_builtins(msgspec.structs.replace(builder.scenario(), **changes), str_keys=True))
    record = builder.record()
    return grade(record, measure(record), audit(record), builder.fault_results())


def test_p50_and_p99_of_each_step_over_what_was_measured() -> None:
    builder = RunBuilder()
    holds = [row for row in builder.tables["requests"] if row["step"] == "hold"]
    for at, row in enumerate(holds[1:]):
        row["overstated_ms"] = float(at)
    found = by_step(builder.record().table("requests"))
    assert list(found) == ["hold"]
    count = len(holds) - 1
    assert (found["hold"].samples, found["hold"].p50) == (count, pytest.approx(count / 2, abs=1.0))
    assert found["hold"].p99 == pytest.approx(0.99 * count, abs=1.0)
    assert by_step(RunBuilder().record().table("requests")) == {}


def test_a_figure_without_what_was_added_is_the_platforms_own() -> None:
    truth = named(measure(RunBuilder().record()), "hold_response_p99_ms").value
    assert truth is not None
    record = slowed(RunBuilder(), "hold", 400.0).record()
    seen = measure(record)
    assert named(seen, "hold_response_p99_ms").value == pytest.approx(truth + 400.0)
    less = without_it(record, seen, 20.0)
    assert named(less, "hold_response_p99_ms").value == pytest.approx(truth)
    first_s = named(seen, "time_to_first_position_p95_s").value
    assert first_s is not None
    assert named(less, "time_to_first_position_p95_s").value == pytest.approx(first_s - 0.02)
    assert "error_ratio" not in {value.name for value in less}


def test_one_request_in_eight_is_enough() -> None:
    builder = slowed(RunBuilder(fans=400), "hold", 400.0)
    for at, row in enumerate(builder.tables["requests"]):
        if at % 8:
            row["overstated_ms"] = None
    seen = measure(builder.record())
    less = without_it(builder.record(), seen, None)
    p50 = "hold_response_p50_ms"
    assert float(named(seen, p50).value or 0) - float(named(less, p50).value or 0) == pytest.approx(400.0)


OBJECTIVES = {"hold_response_p99_ms": Objective(target=100.0, worst=200.0)}


@pytest.mark.parametrize(
    ("seen", "without", "required", "validity"),
    [
        (sli(0.0), sli(10.0), True, Validity.INVALID),
        (sli(0.0), sli(10.0), False, None),
        (sli(0.0), sli(0.0), True, None),
        (sli(60.0), sli(100.0, met=True), True, Validity.DEGRADED),
        (sli(60.0), sli(65.0), True, None),
        (sli(100.0, met=True), sli(100.0, met=True), True, None),
        (sli(None), sli(None), True, None),
    ],
)
def test_a_decision_that_would_be_another_is_in_doubt(
    seen: SliResult, without: SliResult, required: bool, validity: Validity | None
) -> None:
    objectives = {name: msgspec.structs.replace(one, required=required) for name, one in OBJECTIVES.items()}
    found = doubts([seen], [without], objectives, 0.0)
    assert [doubt.validity for doubt in found] == ([] if validity is None else [validity])


def test_a_grade_that_is_too_low_only_for_the_generators_sake_is_in_doubt() -> None:
    (found,) = doubts([sli(60.0)], [sli(75.0)], OBJECTIVES, 70.0)
    assert found.validity is Validity.INVALID
    assert "60.0 with what the generator added to response times, 75.0 without" in found.reason
    assert doubts([sli(72.0)], [sli(80.0)], OBJECTIVES, 70.0) == ()


def test_an_objective_that_only_a_slow_generator_misses_gives_no_verdict() -> None:
    truth = named(measure(RunBuilder().record()), "hold_response_p99_ms").value
    assert truth is not None
    objectives = {"hold_response_p99_ms": Objective(target=truth + 50.0, worst=truth + 300.0)}
    verdict = judged(slowed(RunBuilder(), "hold", 400.0), objectives=objectives)
    assert verdict.generator is not None
    assert (verdict.verdict, verdict.generator.validity) == (Decision.NO_VERDICT, Validity.INVALID)
    assert "only with what the generator added; without that it is" in verdict.reason
    assert verdict.generator.overstatement_ms["hold"].p99 == 400.0


def test_a_slow_platform_is_not_excused_by_a_generator_that_added_little() -> None:
    builder = slowed(RunBuilder(), "hold", 400.0)
    for row in builder.tables["requests"]:
        row["overstated_ms"] = 0.05
    truth = named(measure(RunBuilder().record()), "hold_response_p99_ms").value
    assert truth is not None
    objectives = {"hold_response_p99_ms": Objective(target=truth + 50.0, worst=truth + 300.0)}
    verdict = judged(builder, objectives=objectives)
    assert verdict.generator is not None
    assert (verdict.verdict, verdict.generator.validity) == (Decision.NOT_READY, Validity.VALID)
