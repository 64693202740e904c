"""Findings: the worst first, with numbers, with a runbook, and silence never taken for a pass."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from harness.audit import INVARIANTS, audit
from harness.judging.findings import SEVERITIES, anchors, runbook_of
from harness.judging.grade import grade
from harness.record.schema import Anomaly, SelfTestSummary
from harness.record.verdict import Examination, ExpectationResult, Figure, Finding
from harness.scenario import Objective
from harness.sli import INDICATORS, measure
from tests.builders import RunBuilder

RUNBOOKS = Path(__file__).parents[3] / "docs/runbooks.md"


def findings(builder: RunBuilder, faults: object = None, **changes: object) -> tuple[Finding, ...]:
    scenario = msgspec.structs.replace(builder.scenario(), **changes)
    record = builder.changed(scenario=msgspec.to_builtins(scenario, str_keys=True)).record()
    return grade(record, measure(record), audit(record), faults or builder.fault_results()).findings


def test_a_clean_run_has_nothing_to_act_on() -> None:
    assert findings(RunBuilder()) == ()


def sections(chapter: str) -> list[str]:
    """The sections of one chapter of the runbooks, as they are written."""
    text = RUNBOOKS.read_text(encoding="utf-8")
    inside = text.partition(f"\n# {chapter}\n")[2].partition("\n# ")[0]
    return re.findall(r"^## (\S+)$", inside, re.M)


def test_every_invariant_has_a_section_of_its_own_in_the_runbooks() -> None:
    written = sections("Invariants")
    assert sorted(written) == sorted({name.replace("_", "-") for name in INVARIANTS})
    assert len(written) == len(set(written))


def test_every_indicator_has_a_section_of_its_own_in_the_runbooks() -> None:
    """Percentiles of one step share theirs, and nothing else does; no section is left without an indicator."""
    written = sections("Indicators")
    assert sorted(written) == sorted({spec.runbook for spec in INDICATORS.values()})
    assert len(written) == len(set(written))
    for spec in INDICATORS.values():
        sharing = {one.name for one in INDICATORS.values() if one.runbook == spec.runbook}
        assert len({re.sub(r"_p\d+", "", name) for name in sharing}) == 1, sharing


def test_an_indicator_that_was_added_without_a_section_has_none_to_fall_back_on() -> None:
    new = msgspec.structs.replace(INDICATORS["error_ratio"], name="refund_delay_p95_s")
    assert new.runbook == "refund-delay"
    assert new.runbook not in sections("Indicators")
    with pytest.raises(KeyError):
        runbook_of(new.name)


def test_every_finding_points_to_a_section_that_exists() -> None:
    text = RUNBOOKS.read_text(encoding="utf-8")
    assert set(anchors()) <= set(re.findall(r"^## (\S+)$", text, re.M))
    assert len(set(anchors())) == len(anchors())


def test_a_violation_is_critical_and_tells_its_history() -> None:
    first = findings(RunBuilder().double_charge())[0]
    assert first.severity == "critical"
    assert first.title == "Violated: orders and charges agree to the cent (1 found, 43 checked)"
    assert "the ledger nets 2 captures of 20000 cents" in first.evidence
    assert "at rest, provider's ledger: capture charge-again of 10000 cents" in first.evidence
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


@pytest.mark.parametrize(("worst", "evidence"), [(2000.4, "2,000 ms over 43 samples; target 100 ms, worst 2,000.4 ms")])
def test_a_figure_stands_on_its_side_of_the_limit(worst: float, evidence: str) -> None:
    [found] = findings(RunBuilder(), objectives={"pay_response_p99_ms": Objective(target=100.0, worst=worst)})
    assert found.evidence.startswith(evidence)
    assert found.evidence.endswith("0.021 of 100 points")


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
            id="expectation/redis-down/breaker opens",
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


def test_two_thousand_crashes_alike_are_one_finding_with_a_count() -> None:
    crashes = tuple(
        Anomaly(t_s=float(n), source="swarm", text=f"fan {n} crashed: KeyError: 'seat-{n:x}' at shop.py:41")
        for n in range(2000)
    )
    [found] = findings(RunBuilder().changed(anomalies=crashes))
    assert found.title == ("swarm: fan 0 crashed: KeyError: 'seat-0' at shop.py:41 (and 1,999 more like it)")
    assert found.evidence == "first noted at 0.0 s"


def test_two_thousand_notes_of_any_kind_are_a_page_at_most() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(2000)]
    notes = [Anomaly(t_s=None, source="swarm", text=f"nobody foresaw {word} " + "x" * 5000) for word in words]
    notes.append(Anomaly(t_s=30.0, source="booking", text="booking died on its own", is_death=True))
    found = [one for one in findings(RunBuilder().changed(anomalies=tuple(notes))) if "noted" in one.evidence]
    assert len(found) == 20
    assert sum(len(finding.title) for finding in found) < 20_000
    assert found[0].title == "booking: booking died on its own"
    assert "1,982 more notes of 1,982 kinds" in found[-1].title


def test_what_was_not_tested_is_said() -> None:
    found = findings(RunBuilder(faulty=False, capabilities=("queue", "feed", "order_export", "seats")))
    assert [(finding.severity, finding.title) for finding in found] == [
        ("info", "Not tested: orders and charges agree to the cent"),
        ("info", "Not tested: fans are charged what they were shown"),
        ("info", "Not tested: one idempotency key buys once"),
        ("info", "Not tested: any fault"),
    ]


def test_the_worst_come_first() -> None:
    builder = RunBuilder().double_sell().changed(anomalies=(Anomaly(t_s=None, source="x", text="y"),))
    builder.tables["final_ledger"].clear()
    found = findings(builder, objectives={"hold_response_p99_ms": Objective(target=1.0, worst=1000.0)})
    ranks = [SEVERITIES.index(finding.severity) for finding in found]
    assert ranks == sorted(ranks)
    assert len(set(ranks)) >= 3


@pytest.mark.parametrize(
    ("unfinished", "title"),
    [
        (0, None),
        (1, "1 of 66 journeys was cut by the end of the run"),
        (60, "60 of 66 journeys were cut by the end of the run"),
    ],
)
def test_journeys_that_the_end_cut_are_told(unfinished: int, title: str | None) -> None:
    builder = RunBuilder()
    builder.changed(load=msgspec.structs.replace(builder.run.load, unfinished=unfinished))
    titles = [one.title for one in findings(builder) if "by the end of the run" in one.title]
    assert titles == ([title] if title else [])


def test_fans_who_were_let_in_when_nothing_was_left_are_a_finding() -> None:
    def found(late: float, gone_s: float | None = 33.25) -> list[Finding]:
        figures = (
            Figure(name="gone_s", title="", value=gone_s, unit="s"),
            Figure(name="let_in_after", title="", value=late, unit="fans", samples=440),
        )
        business = Examination(name="business", title="Business", question="", figures=figures)
        builder = RunBuilder()
        record = builder.record()
        return list(grade(record, measure(record), audit(record), builder.fault_results(), [business]).findings)

    [finding] = found(12)
    assert (finding.severity, finding.title) == ("minor", "12 fans were let in after the last ticket was gone")
    assert finding.evidence == "of 440 who were let in; from T+33.2 s to the end of the run nothing was left"
    assert finding.runbook.endswith("#let-in-for-nothing")
    assert found(0) == found(0, None) == []
