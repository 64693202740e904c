"""Every expectation of every shipped experiment: met by a record of the behaviour it expects, missed by one without.

The records are on paper, so that each behaviour can be broken alone.
"""

from __future__ import annotations

import msgspec
import pytest

from chaos.specification import experiment
from chaos.specification.expected import (
    CounterIncreases,
    Expectation,
    MetricReaches,
    NoGap,
    Reconnects,
    Recovers,
    RequestShare,
    ResponseTime,
    StreamEvents,
)
from harness.record.verdict import ExpectationResult
from tests.chaos.proof.test_expectations import EFFECTIVE, HEAL, START, Paper

LONG_AFTER = HEAL + 60


SHIPPED = [
    pytest.param(wanted, id=f"{name}: {wanted.name}")
    for name in experiment.names()
    for wanted in experiment.load(name).expectations
]


def written(wanted: Expectation, *, kept: bool) -> Paper:
    """A record in which the behaviour was kept, or broken."""
    paper = Paper()
    match wanted:
        case MetricReaches():
            since_s = EFFECTIVE if wanted.of == "effective" else HEAL
            other = wanted.value + {"equals": 1, "at_least": -1, "at_most": 1}[wanted.compare]
            last = wanted.value if kept else other
            values = {since_s - 1: other, since_s + 0.4: other, since_s + wanted.within_s - 0.1: last}
            paper.metric(wanted.metric, values, **wanted.labels)
        case CounterIncreases():
            grown = wanted.by_at_least if kept else 0.0
            paper.metric(wanted.metric, {START - 1: 5.0, EFFECTIVE + 1: 5.0 + grown}, **wanted.labels)
            paper.requests(wanted.needs_step or "pay", 20, 10)
        case ResponseTime():
            paper.requests(wanted.step, 30, wanted.at_most_ms * (0.5 if kept else 2))
        case RequestShare():
            status = wanted.status[0] if wanted.status else 200
            outcome = str(wanted.outcome[0]) if wanted.outcome else "fail"
            matching = {"status": status, "outcome": outcome}
            paper.requests(wanted.step, 30, 10, **(matching if kept else {"status": 500, "outcome": "unknown"}))
        case StreamEvents():
            paper.event("position", START - 1, stream=wanted.stream, value=3)
            if kept:
                paper.event(wanted.event, EFFECTIVE + 1, stream=wanted.stream)
        case Reconnects():
            for user in range(10):
                paper.event("connect", START - 5, user=user, stream=wanted.stream)
                paper.event("disconnect", EFFECTIVE + 0.1, user=user, stream=wanted.stream, key="reset")
                back_s = EFFECTIVE + (0.5 if kept or user else wanted.within_s + 1)
                paper.event("connect", back_s, user=user, stream=wanted.stream)
            paper.event("score", LONG_AFTER, stream=wanted.stream)
        case NoGap():
            for seq in (1, 2, 3 if kept else 4):
                paper.event("snapshot" if seq == 1 else "seat", START + seq * 0.5, seq=seq)
        case Recovers():
            paper.requests(wanted.step, 20, 20, t_s=START - 5)
            after_ms = 25 if kept else 20 * wanted.slower_at_most + wanted.slack_ms + 100
            paper.requests(wanted.step, 20, after_ms, t_s=HEAL + wanted.within_s + 1)
    return paper


def judged(wanted: Expectation, *, kept: bool) -> ExpectationResult:
    raw = msgspec.to_builtins(wanted)
    raw.pop("name")
    return written(wanted, kept=kept).judged(**raw)


@pytest.mark.parametrize("wanted", SHIPPED)
def test_it_is_met_by_the_behaviour_and_missed_without(wanted: Expectation) -> None:
    assert judged(wanted, kept=True).status == "met"
    assert judged(wanted, kept=False).status == "missed"
    assert judged(wanted, kept=True).chances > 0
    assert judged(wanted, kept=False).chances > 0


def test_requests_that_fail_afterwards_are_no_recovery() -> None:
    wanted = Recovers(name="it", step="hold", within_s=2)
    paper = Paper()
    paper.requests("hold", 20, 20, t_s=START - 5)
    paper.requests("hold", 20, 20, t_s=HEAL + 3, outcome="fail", status=503)
    raw = msgspec.to_builtins(wanted)
    raw.pop("name")
    result = paper.judged(**raw)
    assert result.status == "missed"
    assert result.observed.startswith("0 % ok in 20 ms after, 100 % in 20 ms before")
    assert result.chances == 20


def test_with_nothing_before_the_fault_recovery_is_not_put_to_the_test() -> None:
    paper = Paper()
    paper.requests("hold", 20, 20, t_s=HEAL + 3)
    result = paper.judged(check="recovers", step="hold", within_s=2)
    assert result.status == "not_exercised"
    assert result.observed == "only 0 requests before and 20 after, 5 each are needed"


def test_what_the_end_of_the_run_cuts_is_not_slow_again() -> None:
    paper = Paper()
    paper.requests("hold", 20, 20, t_s=START - 5)
    paper.requests("hold", 20, 20, t_s=HEAL + 3)
    paper.requests("hold", 10, 900, t_s=HEAL + 9, outcome="unknown", error="stopped")
    assert paper.judged(check="recovers", step="hold", within_s=2).status == "met"
