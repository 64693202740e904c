"""Verdicts written by hand: what the report must say does not depend on how it was judged."""

from __future__ import annotations

from msgspec.structs import replace

from harness.record.reader import Record
from harness.record.verdict import (
    VERDICT_SCHEMA,
    Decision,
    ExpectationResult,
    FaultResult,
    Finding,
    GeneratorResult,
    HistoryStep,
    Hop,
    InvariantResult,
    LoadResult,
    Skew,
    SliResult,
    Status,
    StepHops,
    Validity,
    Verdict,
    Violation,
    Waterfall,
    WaterfallBar,
)
from harness.runs.staircase import Step


def _waterfall(why: str, of: str, step: str, ended: str = "ok") -> Waterfall:
    bars = (
        WaterfallBar("client and network", step, 0, 0.0, 200.0),
        WaterfallBar("booking → redis", "redis EVALSHA", 1, 20.0, 150.0, failed=ended != "ok"),
    )
    spent = (Hop("booking → redis", 150.0, 0.75), Hop("client and network", 50.0, 0.25))
    return Waterfall("a" * 32, "fan-000007", step, why, of, 2.5, 200.0, ended, bars, 3, spent)


WATERFALLS = (
    _waterfall("slowest", "", "pay"),
    _waterfall("failed", "503", "hold", "503"),
    _waterfall("fault", "redis-down", "join"),
)
HOPS = (StepHops("pay", 8, 70.0, 120.0, (Hop("payments", 50.0, 0.8), Hop("booking", 12.5, 0.2))),)
RUNBOOK = "Raise the pool of the booking process and rehearse again before the sale."


def ready(record: Record) -> Verdict:
    """READY with a B: everything held, one objective weak."""
    findings = (
        Finding(severity="minor", title="Holds are slow while Redis returns", evidence=_EVIDENCE, runbook=RUNBOOK),
        Finding(severity="info", title="12 journeys were cut by the end", evidence="run.json, load", runbook=""),
    )
    return _verdict(
        record, Decision.READY, "B", 86.4, "Every required invariant held and the score of 86.4 passes C.", findings
    )


def not_ready(record: Record) -> Verdict:
    """NOT READY with an F: a seat was sold twice."""
    finding = Finding(
        severity="critical",
        title="A seat was sold twice",
        evidence="Seat 101-A-7 has two confirmed orders, o-12 and o-40.",
        runbook="Stop the sale; reconcile the orders of section 101 by hand.",
    )
    verdict = ready(record)
    return replace(
        verdict,
        verdict=Decision.NOT_READY,
        grade="F",
        reason="An invariant was violated: seat 101-A-7 was sold to two fans.",
        invariants=(_double_sell(), *verdict.invariants[1:]),
        findings=(*verdict.findings, finding),
    )


def no_verdict(record: Record) -> Verdict:
    """NO VERDICT: the instrument was not sound."""
    verdict = ready(record)
    generator = _generator(Validity.INVALID, ("samples do not add up: 4 of 1,200 were lost",))
    return replace(
        verdict,
        verdict=Decision.NO_VERDICT,
        grade=None,
        score=None,
        reason="The run cannot be judged: 4 samples were lost.",
        generator=generator,
    )


def bare(record: Record) -> Verdict:
    """The least that a verdict can be: nothing was delivered, nothing was judged."""
    return replace(
        no_verdict(record),
        t0=None,
        load=None,
        generator=None,
        slis=(),
        invariants=(),
        faults=(),
        findings=(),
        versions={},
    )


def step(rate_per_s: float, *, carried: bool) -> Step:
    """A run of a staircase."""
    why_not = () if carried else ("too slow",)
    return Step(
        rate_per_s=rate_per_s, run_id="", verdict=Decision.READY, let_in_per_s=rate_per_s, tickets_per_fan=2.0,
        busiest="", why_not=why_not,
    )  # fmt: skip


_EVIDENCE = "hold p99 rose to 1.9 s for 2 s after T+10.2 s; 118 of 1,420 holds took longer than 800 ms."


def _verdict(
    record: Record, decision: Decision, grade: str, score: float, reason: str, findings: tuple[Finding, ...]
) -> Verdict:
    run, load = record.run, record.run.load
    return Verdict(
        schema=VERDICT_SCHEMA,
        run_id=run.run_id,
        scenario=run.scenario_name,
        seed=run.seed,
        t0=run.t0,
        verdict=decision,
        grade=grade,
        score=score,
        reason=reason,
        load=load
        and LoadResult(
            users_asked=load.users_asked,
            users_armed=load.users_armed,
            users_released=load.users_released,
            window_asked_s=load.window_asked_s,
            window_delivered_s=load.window_delivered_s,
            requests_sent=load.requests_sent,
            samples_recorded=load.samples_recorded,
        ),
        generator=_generator(Validity.VALID, ()),
        slis=_slis(),
        invariants=_invariants(),
        faults=tuple(_fault(fault.experiment, fault.component, fault.kind) for fault in record.faults.faults),
        findings=findings,
        versions=run.versions,
        command=run.command,
        record={"requests.parquet": "ab" * 32, "run.json": "cd" * 32},
    )


def _generator(validity: Validity, reasons: tuple[str, ...]) -> GeneratorResult:
    return GeneratorResult(
        validity=validity,
        reasons=reasons,
        workers=1,
        release_skew_ms=Skew(p50=241.0, p99=455.2, max=461.7),
        clock_uncertainty_ms=0.08,
        loop_lag_ms_p99=28.4,
        cpu_percent_max=83.0,
        samples_lost=4 if reasons else 0,
    )


def _slis() -> tuple[SliResult, ...]:
    rows = (
        ("queue_admission_rate_per_s", "Queue admission rate", 27.4, "/s", 20.0, 5.0, "higher", 100.0, 49),
        ("checkout_completion_ratio", "Checkout completion", 0.934, "ratio", 0.9, 0.5, "higher", 100.0, 1204),
        ("payment_failure_ratio", "Payment failures", 0.004, "ratio", 0.02, 0.2, "lower", 100.0, 1204),
        ("hold_response_p99_ms", "Hold response time, p99", 1912.0, "ms", 500.0, 5000.0, "lower", 68.6, 1420),
        ("seat_map_response_p99_ms", "Seat map response time, p99", 184.0, "ms", 500.0, 3000.0, "lower", 100.0, 1390),
        ("pay_response_p95_ms", "Pay response time, p95", 2034.2, "ms", 2500.0, 10000.0, "lower", 100.0, 1204),
        ("error_ratio", "Error rate", 0.081, "ratio", 0.05, 0.3, "lower", 87.6, 9804),
    )
    scored = tuple(
        SliResult(
            name=name,
            title=title,
            value=value,
            unit=unit,
            objective=objective,
            worst=worst,
            better=better,
            met=value >= objective if better == "higher" else value <= objective,
            score=score,
            samples=samples,
        )
        for name, title, value, unit, objective, worst, better, score, samples in rows
    )
    silent = {"name": "reconnect_recovery_p95_s", "unit": "s", "value": None, "met": None, "score": None, "samples": 0}
    cache = {"name": "cache_hit_ratio", "unit": "ratio", "value": 0.982, "met": None, "score": None, "samples": 5120}
    return (
        *scored,
        SliResult(**silent, title="Reconnect recovery, p95", objective=2.0, worst=10.0),
        SliResult(**cache, title="Cache hits", objective=None, better="higher"),
    )


def _invariants() -> tuple[InvariantResult, ...]:
    held = {
        "no_double_sell": 2391,
        "no_lost_booking": 1124,
        "seat_conservation": 17904,
        "money_reconciles": 1204,
        "no_leaked_hold": 15513,
    }
    return (
        *(
            InvariantResult(
                name=name, status=Status.HELD, operations_checked=n, unknowns=3 if name == "no_lost_booking" else 0
            )
            for name, n in held.items()
        ),
        InvariantResult(
            name="queue_order",
            status=Status.UNKNOWN,
            operations_checked=994,
            unknowns=6,
            note="6 joins were cut; their order cannot be told",
        ),
        InvariantResult(
            name="feed_gap_free",
            status=Status.NOT_OBSERVABLE,
            operations_checked=0,
            unknowns=0,
            note="the platform does not show: feed",
        ),
    )


def _double_sell() -> InvariantResult:
    history = (
        HistoryStep(t_s=12.41, actor="fan-12", text="pay k-12 for 101-A-7 → ok, order o-12 confirmed"),
        HistoryStep(t_s=17.93, actor="fan-40", text="pay k-40 for 101-A-7 → ok, order o-40 confirmed"),
        HistoryStep(t_s=None, actor="order export", text="both o-12 and o-40 are confirmed at rest"),
    )
    violation = Violation(summary="Seat 101-A-7 has two owners", history=history, faults=("db-unreachable",))
    return InvariantResult(
        name="no_double_sell",
        status=Status.VIOLATED,
        operations_checked=2391,
        unknowns=0,
        violations=(violation,),
        violations_total=3,
    )


def _fault(experiment: str, component: str, kind: str) -> FaultResult:
    return FaultResult(
        experiment=experiment,
        component=component,
        kind=kind,
        requested_s=4.0,
        effective_s=4.17,
        healed_s=0.21,
        proven=True,
        canary={"latency_ms_p50": 8003.1, "probes": 42.0, "state": kind},
        expectations=(
            ExpectationResult(
                name="breaker_opens", status="met", observed="open after 0.71 s", expected="open within 2 s"
            ),
            ExpectationResult(
                name="fallback_serves",
                status="missed",
                observed="61 % of joins",
                expected="target_fallbacks_total{kind=stale_seat_map} grows",
            ),
            ExpectationResult(
                name="recovers",
                status="unknown",
                observed="no request in the window",
                expected="p99 as before within 5 s",
            ),
        ),
        t_start_s=6.04,
        t_end_s=10.21,
        hypothesis=f"Fans keep their place and no booking is lost while {component} is away.",
        runbook=f"Watch the breaker of {component}; keep the queue page up.",
    )
