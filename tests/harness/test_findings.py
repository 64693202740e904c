"""Findings: the worst first, with numbers, with a runbook, and silence never taken for a pass."""

from __future__ import annotations

import msgspec

from harness.audit import INVARIANTS, audit
from harness.findings import SEVERITIES, anchors, runbook_of
from harness.grade import grade
from harness.record.schema import Anomaly, SelfTestSummary
from harness.record.verdict import ExpectationResult, Finding
from harness.scenario import Objective
from harness.sli import INDICATORS, measure
from tests.builders import RunBuilder


def findings(builder: RunBuilder, faults: object = None, **changes: object) -> tuple[Finding, ...]:
    scenario = msgspec.structs.replace(builder.scenario(), **changes)
    record = builder.changed(scenario=msgspec.to_builtins(scenario, str_keys=True)).record()
    return grade(record, measure(record), audit(record), faults or builder.fault_results()).findings


def test_a_clean_run_has_nothing_to_act_on() -> None:
    assert findings(RunBuilder()) == ()


def test_every_invariant_and_indicator_has_a_section_in_the_runbooks() -> None:
    known = {f"docs/runbooks.md#{anchor}" for anchor in anchors()}
    assert {runbook_of(name) for name in INDICATORS} <= known
    assert {f"docs/runbooks.md#{name.replace('_', '-')}" for name in INVARIANTS} <= known
    assert len(set(anchors())) == len(anchors())
    assert runbook_of("hold_response_p99_ms") == "docs/runbooks.md#hold-latency"
    assert runbook_of("error_ratio") == "docs/runbooks.md#errors"


def test_a_violation_is_critical_and_tells_its_history() -> None:
    first = findings(RunBuilder().double_charge())[0]
    assert first.severity == "critical"
    assert first.title == "Violated: orders and charges agree to the cent (1 found, 43 checked)"
    assert "the ledger nets 2 captures of 10000 cents" in first.evidence
    assert "at rest, provider's ledger: capture charge-again of 5000 cents" in first.evidence
    assert first.runbook == "docs/runbooks.md#money-reconciles"


def test_an_audit_that_failed_its_self_test_is_a_major_finding_and_one_that_passed_is_none() -> None:
    failed = SelfTestSummary(
        version="1", began="2026-11-23T10:00:00Z", took_s=9.0, bugs_known=14, bugs_planted=14, bugs_caught=13,
        missed=("lost_ack",), clean_runs=3, false_alarms=0, passed=False,
    )  # fmt: skip
    [found] = findings(RunBuilder().changed(selftest=failed))
    assert (found.severity, found.runbook) == ("major", "docs/runbooks.md#self-test")
    assert "13 of 14 planted bugs caught" in found.evidence
    assert "not caught: lost_ack" in found.evidence
    assert findings(RunBuilder().changed(selftest=msgspec.structs.replace(failed, missed=(), passed=True))) == ()


def test_missed_objectives_are_ranked_by_how_far_they_missed() -> None:
    objectives = {
        "hold_response_p99_ms": Objective(target=20.0, worst=1000.0),
        "pay_response_p99_ms": Objective(target=100.0, worst=1000.0),
        "join_response_p99_ms": Objective(target=1.0, worst=100.0, required=False),
    }
    found = findings(RunBuilder(), objectives=objectives)
    assert [(finding.severity, finding.title) for finding in found] == [
        ("major", "Payment response p99 missed its target"),
        ("major", "Hold response p99 missed its target"),
        ("minor", "Join response p99 missed its target"),
    ]
    assert found[0].evidence == "2,000 ms over 43 samples; target 100 ms, worst 1,000 ms: 0 of 100 points"


def test_a_missed_expectation_is_major_and_points_to_the_experiments_runbook() -> None:
    builder = RunBuilder()
    missed = ExpectationResult(name="breaker opens", status="missed", observed="stayed closed", expected="open in 2 s")
    first, *others = builder.fault_results()
    found = findings(builder, (msgspec.structs.replace(first, expectations=(missed,)), *others))
    assert found == (
        Finding(
            severity="major",
            title="redis-down: expectation missed: breaker opens",
            evidence="expected open in 2 s; observed stayed closed",
            runbook="docs/runbooks.md#redis-down",
        ),
    )


def test_a_dead_process_of_the_stack_weighs_more_than_a_note() -> None:
    anomalies = (
        Anomaly(t_s=None, source="metrics", text="the metrics of feed-1 never answered"),
        Anomaly(t_s=12.5, source="booking", text="booking died on its own (signal 9)", is_death=True),
    )
    found = [one for one in findings(RunBuilder().changed(anomalies=anomalies)) if one.evidence.startswith("noted")]
    assert [(finding.severity, finding.title, finding.evidence) for finding in found] == [
        ("major", "booking: booking died on its own (signal 9)", "noted at 12.5 s"),
        ("minor", "metrics: the metrics of feed-1 never answered", "noted"),
    ]


def test_what_was_not_tested_is_said() -> None:
    found = findings(RunBuilder(faulty=False, capabilities=("queue", "feed", "order_export", "seat_map")))
    assert [(finding.severity, finding.title) for finding in found] == [
        ("info", "Not tested: orders and charges agree to the cent"),
        ("info", "Not tested: any fault"),
    ]


def test_the_worst_come_first() -> None:
    builder = RunBuilder().double_sell().changed(anomalies=(Anomaly(t_s=None, source="x", text="y"),))
    builder.tables["final_ledger"].clear()
    found = findings(builder, objectives={"hold_response_p99_ms": Objective(target=1.0, worst=1000.0)})
    ranks = [SEVERITIES.index(finding.severity) for finding in found]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) >= 3
