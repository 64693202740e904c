"""Runs on paper with a known cause: the record alone tells it."""

from __future__ import annotations

import msgspec
import pytest

from harness.audit import audit
from harness.causes import with_causes
from harness.judging.grade import grade
from harness.record.verdict import Cause, ExpectationResult, RecoveryGap, Verdict
from harness.scenario import Objective
from harness.sli import measure
from harness.sli.recovery_gap import recovery_gaps
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty
from tests.harness.sli.test_recovery_gap import redis_down

ASKED = {"seats": ["101-A-1"]}


def objectives(builder: RunBuilder, **targets: tuple[float, float]) -> RunBuilder:
    wanted = {name: Objective(target=target, worst=worst) for name, (target, worst) in targets.items()}
    scenario = msgspec.structs.replace(builder.scenario(), objectives=wanted)
    return builder.changed(scenario=msgspec.to_builtins(scenario))


def judged(builder: RunBuilder, *gaps: RecoveryGap, expectation: ExpectationResult | None = None) -> Verdict:
    record = builder.record()
    faults = tuple(msgspec.structs.replace(fault, gaps=gaps) for fault in builder.fault_results())
    if expectation is not None:
        faults = (msgspec.structs.replace(faults[0], expectations=(expectation,)), *faults[1:])
    return with_causes(record, grade(record, measure(record), audit(record), faults))


def cause(verdict: Verdict, finding_id: str) -> Cause:
    assert finding_id in {finding.id for finding in verdict.findings}
    found = verdict.cause_of(finding_id)
    assert found is not None
    return found


def holds() -> RunBuilder:
    """Quick holds over the whole run; three begun at T+6 s are refused with 503 until redis-down is healed at T+9 s."""
    builder = redis_down()
    for fan in range(200):
        at_s = 0.2 * fan
        if not 5.0 <= at_s < 9.0:
            _hold(builder, fan, at_s, at_s, at_s + 0.02)
    for fan in range(300, 303):
        refused = _hold(builder, fan, 6.0, 6.0, 6.1, status=503)
        _hold(builder, fan, 6.0, 9.4, 9.5, retry_of=refused)
    return objectives(builder, hold_response_p99_ms=(1000.0, 5000.0))


def _hold(
    builder: RunBuilder,
    fan: int,
    intended_s: float,
    start_s: float,
    end_s: float,
    status: int = 200,
    retry_of: int | None = None,
) -> int:
    outcome = "ok" if status == 200 else "fail"
    error = "" if outcome == "ok" else "status"
    row = builder.operation(fan, "hold", f"h-{fan}-{start_s}", ASKED, start_s, end_s, outcome, error)
    row |= {"t_intended_s": intended_s, "retry_of": retry_of}
    op = int(str(row["op"]))
    took_s = end_s - start_s
    builder.request(fan, "hold", start_s, took_s, t_intended_s=intended_s, outcome=outcome, status=status, op=op)
    return op


def test_holds_that_waited_out_a_fault_are_told_with_their_share_and_their_errors() -> None:
    found = cause(judged(holds()), "objective/hold_response_p99_ms")
    assert (found.phase, found.explained) == ("redis-down", 1.0)
    assert (found.within, found.outside) == (pytest.approx(3500.0), pytest.approx(20.0))
    assert (
        "3 of 183 are over 1,000 ms: all 3 met redis-down (in force T+5.0 s to T+9.0 s), begun T+6.0 s"
        in found.sentence
    )
    assert "apart from faults and the seconds after them it is 20 ms, in them 3,500 ms" in found.sentence
    assert "94.3 % of their time went by between tries after 3 × answered 503" in found.sentence
    time_ms = {part.name: part.count for part in found.parts if part.by == "time_ms"}
    assert time_ms == {"between tries": 9900, "waiting for an answer": 600}


def test_one_that_was_too_slow_is_told_of_as_one() -> None:
    builder = empty()
    for fan in range(20):
        _hold(builder, fan, 20.0 + fan * 0.1, 20.0 + fan * 0.1, 20.02 + fan * 0.1)
    _hold(builder, 99, 30.2, 30.2, 33.2)
    objectives(builder, hold_response_p99_ms=(1000.0, 5000.0))
    found = cause(judged(builder), "objective/hold_response_p99_ms")
    told = "1 of 21 is over 1,000 ms: it began outside of faults and waves, in the second from T+30 s"
    assert found.sentence.startswith(told)


def test_a_target_that_is_missed_without_the_faults_too_is_said() -> None:
    builder = objectives(holds(), hold_response_p99_ms=(10.0, 5000.0))
    found = cause(judged(builder), "objective/hold_response_p99_ms")
    assert found.explained is None
    assert "the target of 10 ms is missed without the faults too" in found.sentence


def test_planted_contention_is_told_by_what_failed_the_fans() -> None:
    builder = empty()
    for fan in range(40):
        builder.look(fan, 0.1 * fan, "0", set())
        won = fan % 2 == 0
        error = "" if won else "conflict"
        builder.operation(
            fan, "hold", f"h-{fan}", ASKED, 0.1 * fan + 5.0, 0.1 * fan + 5.1, "ok" if won else "fail", error
        )
    builder = objectives(builder, contention_ratio=(0.05, 0.9))
    found = cause(judged(builder), "objective/contention_ratio")
    assert "hold conflict" in found.sentence
    assert [part.name for part in found.parts if part.by == "error"] == ["hold conflict"]


def test_errors_are_told_by_step_and_answer() -> None:
    builder = redis_down()
    for n in range(20):
        builder.request(n, "hold", 6.0 + n / 10, 0.01, outcome="fail", status=503)
    builder = objectives(builder, error_ratio=(0.1, 0.9))
    found = cause(judged(builder), "objective/error_ratio")
    assert (found.phase, found.explained) == ("redis-down", 1.0)
    assert "mostly hold answered 503 (20)" in found.sentence


def test_a_line_that_stood_still_is_told_by_what_it_was_told() -> None:
    builder = redis_down()
    for n in range(3):
        builder.event(19, "positions", "paused", 9.2 + n / 10)
    record = builder.record()
    [gap] = recovery_gaps(record, record.faults.faults[0])
    found = cause(judged(builder, gap), "recovery/redis-down/admission")
    assert (found.phase, found.t_from_s, found.t_to_s) == ("after redis-down", pytest.approx(9.06), pytest.approx(11.0))
    assert "the line was told 3 times that it is paused, last at T+9.4 s" in found.sentence


@pytest.mark.parametrize("status", ["missed", "unknown", "not_exercised"])
def test_an_expectation_that_was_not_met_is_told_by_its_requests(status: str) -> None:
    builder = redis_down()
    [fault] = builder.faults.faults
    plan = {"name": "holds are refused", "check": "requests", "step": "hold", "status": [503]}
    fault = msgspec.structs.replace(fault, definition={"expectations": [plan]})
    builder.faults = msgspec.structs.replace(builder.faults, faults=(fault,))
    builder.request(1, "hold", 14.2, 0.1)
    if status == "missed":
        for n in range(4):
            builder.request(n, "hold", 6.0, 0.2, outcome="fail", status=500)
    seen = ExpectationResult("holds are refused", status, observed="0 %", expected="100 %")
    found = cause(judged(builder, expectation=seen), "expectation/redis-down/holds are refused")
    assert found.phase == "redis-down"
    if status == "missed":
        assert "4 hold meanwhile, 4 not ok (4 × 500), p99 200 ms" in found.sentence
    else:
        assert "no hold was sent meanwhile: the next at T+14.2 s" in found.sentence


def test_each_run_of_an_experiment_has_findings_and_causes_of_its_own() -> None:
    builder = redis_down()
    [first] = builder.faults.faults
    plan = {"name": "holds are refused", "check": "requests", "step": "hold", "status": [503]}
    first = msgspec.structs.replace(first, definition={"expectations": [plan]})
    second = msgspec.structs.replace(
        first, t_requested_s=15.0, t_effective_s=15.1, t_heal_requested_s=17.9, t_healed_s=18.0
    )
    builder.faults = msgspec.structs.replace(builder.faults, faults=(first, second))
    record = builder.record()
    gap = RecoveryGap("hold", "Hold", t_from_s=9.0, t_to_s=14.0, waiting=2, bound_s=1.0)
    met, missed = (ExpectationResult("holds are refused", one, "0 %", "100 %") for one in ("unknown", "missed"))
    faults = tuple(
        msgspec.structs.replace(fault, expectations=(one,), gaps=(gap,))
        for fault, one in zip(builder.fault_results(), (met, missed), strict=True)
    )
    verdict = with_causes(record, grade(record, measure(record), audit(record), faults))
    ids = [finding.id for finding in verdict.findings]
    assert len(ids) == len(set(ids))
    assert cause(verdict, "expectation/redis-down/holds are refused").t_from_s == 5.1
    assert cause(verdict, "expectation/redis-down#2/holds are refused").t_from_s == 15.1
    assert cause(verdict, "recovery/redis-down/hold").phase == "after redis-down"
    assert "the heal at T+18.0 s" in cause(verdict, "recovery/redis-down#2/hold").sentence


def test_seconds_under_two_faults_are_left_out_once_from_the_rate_without_faults() -> None:
    builder = redis_down()
    [first] = builder.faults.faults
    beside = msgspec.structs.replace(first, experiment="db-unreachable")
    builder.faults = msgspec.structs.replace(builder.faults, faults=(first, beside))
    builder = objectives(builder, queue_admission_rate_per_s=(50.0, 0.1))
    found = cause(judged(builder), "objective/queue_admission_rate_per_s")
    assert found.outside == pytest.approx(6 / 3.99)  # from T+1.01 s to T+5 s six were admitted
    assert found.within == pytest.approx(14 / 6.71)  # from T+5 s to T+11.71 s


def test_a_violation_says_which_fault_was_in_force() -> None:
    verdict = judged(RunBuilder().double_sell())
    found = cause(verdict, "invariant/no_double_sell")
    assert found.t_from_s is not None
    assert "in force" in found.sentence


def test_what_was_met_has_no_cause_and_ids_are_stable_and_apart() -> None:
    one, two = judged(holds()), judged(holds())
    assert [finding.id for finding in one.findings] == [finding.id for finding in two.findings]
    assert all(finding.id for finding in one.findings)
    assert len({finding.id for finding in one.findings}) == len(one.findings)
    assert {found.of for found in one.causes} <= {finding.id for finding in one.findings}
