"""What to run, and what became of it: nothing but the named invariant, violated, is a bug caught."""

from __future__ import annotations

import pytest

from harness.errors import ExitCode
from harness.record.verdict import (
    VERDICT_SCHEMA,
    Decision,
    FaultResult,
    InvariantResult,
    Status,
    Verdict,
    Violation,
)
from harness.selftest.cases import (
    LOSS_OF_REDIS,
    PROVIDERS,
    SELFTEST_SCHEMA,
    Case,
    CaseOutcome,
    CaseResult,
    SelfTest,
    judge,
    plan,
)
from harness.stack.reference.planted_bugs import PlantedBug

BUGS = tuple(PlantedBug(name=name, description="", breaks="queue_order") for name in ("a", "b", "c"))
NAMELESS = PlantedBug(name="line_by_name", description="", breaks="place_kept")
PLANTED = Case(bug="a", breaks="queue_order", seed=1)
CLEAN = Case(bug="", breaks="", seed=1)


def verdict(*, proven: bool = True, **statuses: Status) -> Verdict:
    invariants = tuple(
        InvariantResult(
            name=name,
            status=status,
            operations_checked=9,
            unknowns=0,
            violations=(Violation(summary="two places", history=()),) if status is Status.VIOLATED else (),
            violations_total=int(status is Status.VIOLATED),
        )
        for name, status in statuses.items()
    )
    fault = FaultResult(
        experiment="redis-down", component="redis", kind="refuse", requested_s=1, effective_s=1, healed_s=1,
        proven=proven, canary={}, expectations=(),
    )  # fmt: skip
    return Verdict(
        schema=VERDICT_SCHEMA, run_id="r", scenario="selftest", seed=1, t0=None, verdict=Decision.READY, grade=None,
        score=None, reason="", load=None, generator=None, slis=(), invariants=invariants, faults=(fault,), findings=(),
        versions={}, command=(), record={},
    )  # fmt: skip


def outcome(case: Case, judged: Verdict | None) -> CaseOutcome:
    return judge(case, judged, "no verdict", "", 1.0).outcome


def test_every_bug_is_planted_once_and_every_clean_run_has_a_seed_of_its_own() -> None:
    cases = plan(BUGS, seed=5, clean=2)
    assert [case.name for case in cases] == ["a", "b", "c", "clean-5", "clean-6"]
    assert [case.seed for case in cases] == [5, 5, 5, 5, 6]


def test_a_bug_that_shows_only_after_a_loss_of_redis_is_planted_with_one_and_no_other_with_any_fault() -> None:
    arguments = {case.bug: case.arguments for case in plan((*BUGS, NAMELESS), seed=5, clean=0)}
    assert LOSS_OF_REDIS in arguments["line_by_name"]
    assert "--no-chaos" not in arguments["line_by_name"]
    assert "--no-chaos" in arguments["a"]


def test_clean_runs_meet_every_misbehaviour_of_the_provider_in_turn() -> None:
    cases = plan((), seed=0, clean=len(PROVIDERS) + 1)
    assert [case.provider for case in cases] == [*PROVIDERS, PROVIDERS[0]]
    assert cases[1].arguments[-2:] == ("--set", f"on_sale.payment_switches={PROVIDERS[1]}")
    assert all(case.provider == "" for case in plan(BUGS, seed=0, clean=0))


def test_a_sample_is_of_the_known_bugs() -> None:
    cases = plan(BUGS, seed=5, clean=0, sample=2)
    assert len({case.bug for case in cases} & {"a", "b", "c"}) == 2
    assert plan(BUGS, seed=5, clean=0, sample=0) == ()


def test_a_planted_run_has_no_other_fault_and_a_clean_one_has_all() -> None:
    assert PLANTED.arguments == ("rehearse", "selftest", "--seed", "1", "--plant-bug", "a", "--no-chaos")
    assert CLEAN.arguments == ("rehearse", "selftest", "--seed", "1")


def test_a_bug_that_shows_only_under_a_fault_is_planted_with_the_faults_on() -> None:
    parked = Case(bug="parked_dropped", breaks="no_lost_order", seed=1)
    assert "--no-chaos" not in parked.arguments
    assert "--no-chaos" in Case(bug="limit_per_session", breaks="purchase_limit", seed=1).arguments


@pytest.mark.parametrize(
    ("case", "judged", "expected"),
    [
        (PLANTED, verdict(queue_order=Status.VIOLATED), CaseOutcome.CAUGHT),
        (PLANTED, verdict(queue_order=Status.VIOLATED, feed_gap_free=Status.VIOLATED), CaseOutcome.CAUGHT),
        (PLANTED, verdict(queue_order=Status.HELD), CaseOutcome.MISSED),
        (PLANTED, verdict(queue_order=Status.UNKNOWN), CaseOutcome.MISSED),
        (PLANTED, verdict(queue_order=Status.HELD, feed_gap_free=Status.VIOLATED), CaseOutcome.MISSED),
        (PLANTED, verdict(feed_gap_free=Status.VIOLATED), CaseOutcome.MISSED),
        (PLANTED, None, CaseOutcome.NOT_JUDGED),
        (CLEAN, verdict(queue_order=Status.HELD), CaseOutcome.CLEAN),
        (CLEAN, verdict(queue_order=Status.VIOLATED), CaseOutcome.FALSE_ALARM),
        (CLEAN, verdict(queue_order=Status.UNKNOWN), CaseOutcome.NOT_JUDGED),
        (CLEAN, verdict(queue_order=Status.HELD, proven=False), CaseOutcome.NOT_JUDGED),
        (CLEAN, None, CaseOutcome.NOT_JUDGED),
    ],
)
def test_what_a_case_came_to(case: Case, judged: Verdict | None, expected: CaseOutcome) -> None:
    assert outcome(case, judged) is expected


def test_the_evidence_names_the_invariant_and_what_was_seen() -> None:
    assert judge(PLANTED, verdict(queue_order=Status.VIOLATED), "", "", 1.0).evidence == "queue_order: two places"
    assert "no checker for queue_order" in judge(PLANTED, verdict(), "", "", 1.0).evidence


def self_test(*outcomes: CaseOutcome) -> SelfTest:
    planted = {CaseOutcome.CAUGHT, CaseOutcome.MISSED}
    results = tuple(
        CaseResult(case=PLANTED if how in planted else CLEAN, outcome=how, violated=(), evidence="", run="", took_s=1.0)
        for how in outcomes
    )
    return SelfTest(
        schema=SELFTEST_SCHEMA, version="1 abc", began="2026-11-23T10:00:00Z", took_s=2.0, bugs_known=1, results=results
    )


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((CaseOutcome.CAUGHT, CaseOutcome.CLEAN), ExitCode.READY),
        ((CaseOutcome.CAUGHT, CaseOutcome.NOT_JUDGED), ExitCode.NO_VERDICT),
        ((CaseOutcome.MISSED, CaseOutcome.NOT_JUDGED), ExitCode.NOT_READY),
        ((CaseOutcome.CAUGHT, CaseOutcome.FALSE_ALARM), ExitCode.NOT_READY),
        ((), ExitCode.NO_VERDICT),
    ],
)
def test_one_case_that_is_not_good_fails_the_whole(outcomes: tuple[CaseOutcome, ...], code: ExitCode) -> None:
    result = self_test(*outcomes)
    assert result.exit_code is code
    assert result.summary().passed is (code is ExitCode.READY)


def test_the_summary_says_what_was_caught_when_and_for_which_version() -> None:
    summary = self_test(CaseOutcome.CAUGHT, CaseOutcome.CLEAN, CaseOutcome.FALSE_ALARM).summary()
    assert summary.whole
    assert summary.sentence == (
        "1 of 1 planted bugs caught, 1 false alarms in 2 clean runs; 2026-11-23 10:00 UTC, version 1 abc"
    )
    missed = self_test(CaseOutcome.MISSED).summary()
    assert not missed.whole
    assert missed.missed == ("a",)
    assert "not caught: a (there are 1 bugs)" in missed.sentence
