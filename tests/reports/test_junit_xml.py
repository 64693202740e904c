from __future__ import annotations

from xml.etree import ElementTree as Tree

import pytest
from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.verdict import Decision, Finding, Reason, Verdict
from reports import junit_xml
from tests.reports import verdicts


def parsed(verdict: Verdict) -> Tree.Element:
    return Tree.fromstring(junit_xml.render(verdict).encode())


def problem(root: Tree.Element, name: str) -> str:
    """The kind of the first test case of this name: passed, failure, error or skipped."""
    case = next(case for case in root.iter("testcase") if case.get("name") == name)
    kinds = [child.tag for child in case if child.tag != "system-out"]
    return kinds[0] if kinds else "passed"


@pytest.mark.parametrize("kind", ["ready", "not_ready", "no_verdict", "bare"])
def test_the_counts_agree_with_the_cases(kind: str, record: Record) -> None:
    root = parsed(getattr(verdicts, kind)(record))
    for group in (root, *root.iter("testsuite")):
        assert int(group.get("tests", "")) == len(list(group.iter("testcase")))
        assert int(group.get("failures", "")) == len(list(group.iter("failure")))
        assert int(group.get("errors", "")) == len(list(group.iter("error")))


def test_each_invariant_objective_and_expectation_is_a_case(record: Record) -> None:
    verdict = verdicts.ready(record)
    cases = [(case.get("classname"), case.get("name")) for case in parsed(verdict).iter("testcase")]
    assert len(cases) == len(set(cases))
    assert {("gatecrash.invariants", result.name) for result in verdict.invariants} <= set(cases)
    assert {("gatecrash.objectives", sli.name) for sli in verdict.slis if sli.objective is not None} <= set(cases)
    for fault in verdict.faults:
        for name in ("proven", *(expectation.name for expectation in fault.expectations)):
            assert (f"gatecrash.faults.{fault.experiment}", name) in cases


def test_states_become_the_kinds_that_a_ci_server_knows(record: Record) -> None:
    root = parsed(verdicts.not_ready(record))
    found = {
        name: problem(root, name)
        for name in (
            "ready",
            "no_double_sell",
            "no_lost_booking",
            "queue_order",
            "feed_gap_free",
            "hold_response_p99_ms",
            "checkout_completion_ratio",
            "reconnect_recovery_p95_s",
            "breaker_opens",
            "fallback_serves",
            "recovers",
        )
    }
    assert found == {
        "ready": "failure",
        "no_double_sell": "failure",
        "no_lost_booking": "passed",
        "queue_order": "error",
        "feed_gap_free": "skipped",
        "hold_response_p99_ms": "skipped",  # missed its target, which is not what made it NOT READY
        "checkout_completion_ratio": "passed",
        "reconnect_recovery_p95_s": "skipped",
        "breaker_opens": "passed",
        "fallback_serves": "failure",
        "recovers": "skipped",
    }


def kinds(verdict: Verdict) -> list[str]:
    return [case.kind for case in junit_xml.cases(verdict)]


def test_a_missed_objective_that_does_not_decide_leaves_a_ready_build_green(record: Record) -> None:
    verdict = verdicts.ready(record)
    assert [sli.name for sli in verdict.slis if sli.met is False] == ["hold_response_p99_ms", "error_ratio"]
    root = parsed(verdict)
    assert (root.get("failures"), root.get("errors")) == ("0", "0")
    assert problem(root, "hold_response_p99_ms") == "skipped"
    said = next(case for case in root.iter("testcase") if case.get("name") == "hold_response_p99_ms")[0].get("message")
    assert said is not None
    assert said.replace("\u00a0", " ").startswith(
        "missed, which costs points: 1,912 ms, objective 500 ms, worst 5,000 ms"
    )


def test_an_objective_at_its_worst_that_made_it_not_ready_is_a_failure(record: Record) -> None:
    verdict = verdicts.not_ready(record)
    weak = next(sli for sli in verdict.slis if sli.name == "hold_response_p99_ms")
    slis = (replace(weak, value=5000.4, score=0.0, required=True),)
    root = parsed(replace(verdict, slis=slis))
    assert problem(root, "hold_response_p99_ms") == "failure"
    failure = next(f for f in root.iter("failure") if "objective" in (f.get("message") or ""))
    assert (
        (failure.get("message") or "").replace("\u00a0", " ").startswith("5,000.4 ms, objective 500 ms, worst 5,000 ms")
    )
    assert problem(parsed(replace(verdict, slis=(replace(weak, score=0.0),))), "hold_response_p99_ms") == "skipped"


@pytest.mark.parametrize("kind", ["ready", "not_ready", "no_verdict", "bare"])
def test_the_build_is_green_only_if_the_verdict_is_ready(kind: str, record: Record) -> None:
    verdict = getattr(verdicts, kind)(record)
    found = kinds(verdict)
    assert ("failure" in found) == (verdict.verdict is Decision.NOT_READY)
    if verdict.verdict is not Decision.NOT_READY:
        assert ("error" in found) == (verdict.verdict is Decision.NO_VERDICT)


def test_no_verdict_says_all_its_reasons_and_fails_nothing(record: Record) -> None:
    verdict = replace(
        verdicts.no_verdict(record),
        invariants=verdicts.not_ready(record).invariants,
        reasons=(Reason("The record is incomplete.", "rehearse again"), Reason("Nobody was released.", "see the log")),
    )
    root = parsed(verdict)
    assert problem(root, "ready") == problem(root, "no_double_sell") == "error"
    assert root.get("failures") == "0"
    assert "Nobody was released. (do: see the log)" in junit_xml.render(verdict)


def test_an_unproven_fault_and_an_invalid_generator_are_errors(record: Record) -> None:
    verdict = verdicts.no_verdict(record)
    verdict = replace(verdict, faults=(replace(verdict.faults[0], proven=False, error="the proxy refused"),))
    root = parsed(verdict)
    assert problem(root, "ready") == problem(root, "load generator") == problem(root, "proven") == "error"
    assert "the proxy refused" in junit_xml.render(verdict)


def test_a_violation_carries_its_history(record: Record) -> None:
    failure = next(parsed(verdicts.not_ready(record)).iter("failure"))
    histories = [found.text or "" for found in parsed(verdicts.not_ready(record)).iter("failure")]
    assert failure.get("message")
    assert any("T+12.4" in text and "fan-40" in text for text in histories)


def test_characters_that_xml_cannot_hold_are_written_out_or_left_out(record: Record) -> None:
    finding = Finding(severity="minor", title="x", evidence="x", runbook="")
    verdict = replace(verdicts.not_ready(record), reason='<&>"\x00\x1b[31m\ufffe\ud800 ☂ ', findings=(finding,))
    case = next(parsed(verdict).iter("failure"))
    assert case.get("message") == '<&>"\\x00\\x1b[31m\\ud800 ☂ '
