"""What a staircase of runs says: which rate is carried, what limits, and never more than the runs show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from harness.record.verdict import (
    Decision,
    Examination,
    Figure,
    Hop,
    SliResult,
    Status,
    StepHops,
    Validity,
    Verdict,
)
from harness.runs.staircase import Buying, Staircase, Used, forecast, next_rate, step_of
from tests.builders import RunBuilder
from tests.reports import verdicts


def sli(name: str, value: float | None, objective: float | None, *, met: bool | None, samples: int = 100) -> SliResult:
    unit = "per_s" if name.endswith("_per_s") else "ms"
    return SliResult(name=name, value=value, unit=unit, objective=objective, met=met, score=0.0, samples=samples)


@pytest.fixture
def good() -> Verdict:
    """A run of a hundred fans, let in at 10/s, who bought 200 tickets; nothing was at its limit."""
    verdict = verdicts.ready(RunBuilder(fans=2).record())
    busy = Figure(name="cpu_booking", title="CPU of booking", value=0.4, unit="ratio", samples=9)
    sold = Figure(name="sold", title="Sold", value=200.0, unit="tickets", samples=200)
    return replace(
        verdict,
        invariants=tuple(one for one in verdict.invariants if one.status is Status.HELD),
        slis=(
            sli("queue_admission_rate_per_s", 10.0, None, met=None),
            sli("hold_response_p99_ms", 80.0, 500.0, met=True),
        ),
        examinations=(
            Examination(name="business", title="Business", question="", figures=(sold,)),
            Examination(name="saturation", title="Resources", question="", figures=(busy,)),
        ),
        hops=(),
    )


def slow(verdict: Verdict) -> Verdict:
    return replace(verdict, slis=(verdict.slis[0], sli("hold_response_p99_ms", 900.0, 500.0, met=False)))


def used(verdict: Verdict, share: float) -> Verdict:
    [business, saturation] = verdict.examinations
    full = replace(saturation.figures[0], value=share)
    return replace(verdict, examinations=(business, replace(saturation, figures=(full,))))


def test_a_good_run_carries_its_rate(good: Verdict) -> None:
    step = step_of(10.0, good)
    assert step.carried
    assert (step.let_in_per_s, step.tickets_per_fan) == (10.0, 2.0)
    assert step.busiest == "CPU of booking: 40 %"


def test_a_missed_objective_is_the_reason_and_the_saturated_resource_the_limit(good: Verdict) -> None:
    step = step_of(10.0, used(slow(good), 0.97))
    assert step.why_not == ("hold_response_p99_ms was 900 ms, its target 500 ms",)
    assert step.limits == ("CPU of booking: 97 %",)


def test_where_nothing_is_saturated_the_slow_steps_hop_is_the_limit(good: Verdict) -> None:
    hops = (
        Hop(name="client and network", mean_ms=500.0, share=0.6),
        Hop(name="booking → payments", mean_ms=300.0, share=0.4),
    )
    traced = StepHops(step="hold", traces=3, p50_ms=800.0, max_ms=900.0, hops=hops)
    other = replace(traced, step="pay")
    assert step_of(10.0, replace(slow(good), hops=(other, traced))).limits == (
        "booking → payments, in which hold spent 40 % of its time",
    )


@pytest.mark.parametrize(("share", "named"), [(0.9, 2), (0.4, 1)])
def test_beside_a_saturated_resource_a_hop_is_named_that_has_most_of_the_time(
    good: Verdict, share: float, named: int
) -> None:
    """As on a machine that others keep busy, where a slow provider is what limits."""
    hop = Hop(name="payments", mean_ms=900.0 * share, share=share)
    traced = StepHops(step="hold", traces=3, p50_ms=800.0, max_ms=900.0, hops=(hop,))
    limits = step_of(10.0, replace(used(slow(good), 0.97), hops=(traced,))).limits
    assert [limit.partition(",")[0] for limit in limits] == ["CPU of booking: 97 %", "payments"][:named]


def test_what_the_record_does_not_show_is_not_guessed(good: Verdict) -> None:
    found = Staircase(steps=(step_of(10.0, slow(good)),))
    assert "What limits it is not in the record." in found.sentences()


def test_fans_who_come_faster_than_they_are_let_in_are_not_carried(good: Verdict) -> None:
    assert step_of(20.0, good).why_not == ("fans were let in at 10/s, and came at 20/s",)
    assert step_of(11.0, good).carried


def test_a_broken_invariant_is_the_first_reason(good: Verdict) -> None:
    broken = verdicts.not_ready(RunBuilder(fans=2).record()).invariants[:1]
    assert step_of(10.0, replace(slow(good), invariants=broken)).why_not[0] == f"{broken[0].name} was violated"


@pytest.mark.parametrize("why", ["The sale did not take place: nobody bought.", "Grade C, below the minimum of B."])
def test_a_run_that_is_not_ready_carries_nothing_whatever_its_figures_are(good: Verdict, why: str) -> None:
    assert step_of(10.0, replace(good, verdict=Decision.NOT_READY, reason=why)).why_not == (why.rstrip("."),)


@pytest.mark.parametrize(("decision", "counts"), [(Decision.NOT_READY, True), (Decision.NO_VERDICT, False)])
def test_a_violation_counts_in_doubtful_runs_too_but_not_in_a_record_that_is_not_whole(
    good: Verdict, decision: Decision, counts: bool
) -> None:
    broken = verdicts.not_ready(RunBuilder(fans=2).record()).invariants[:1]
    assert good.generator is not None
    generator = replace(good.generator, validity=Validity.INVALID, reasons=("it stood still for 3 s",))
    run = replace(good, verdict=decision, reason="Why.", invariants=broken, generator=generator)
    found = Staircase(steps=(verdicts.step(5.0, carried=True), step_of(10.0, run)))
    assert found.has_violations is counts
    told = f"Violated at 10 fans per second: {broken[0].name}, see the report of the run {run.run_id}."
    assert (told in found.sentences()) is counts


@pytest.mark.parametrize("case", ["generator", "unseen"])
def test_a_run_that_cannot_be_used_says_nothing_of_the_platform(good: Verdict, case: str) -> None:
    assert good.generator is not None
    bad = replace(good.generator, validity=Validity.INVALID, reasons=("it stood still for 3 s",))
    doubtful = replace(good, verdict=Decision.NO_VERDICT, reason="Nothing was seen.")
    step = step_of(10.0, replace(doubtful, generator=bad) if case == "generator" else doubtful)
    assert not step.carried
    found = Staircase(steps=(step,))
    assert found.failed is None
    assert next_rate([10.0, 20.0], found, 2) is None
    assert "says nothing about the platform" in " ".join(found.sentences())


def climbed(limit_per_s: float, rates: list[float], refinements: int) -> Staircase:
    """Every run that the staircase asks for, on a platform that carries rates up to the limit."""
    found = Staircase(steps=())
    while (rate := next_rate(rates, found, refinements)) is not None:
        assert rate not in {step.rate_per_s for step in found.steps}
        found = found.beside(verdicts.step(rate, carried=rate <= limit_per_s))
    return found


def test_the_rates_are_climbed_until_one_is_not_carried_and_then_narrowed() -> None:
    found = climbed(50.0, [10.0, 20.0, 40.0, 80.0, 160.0], 2)
    assert [step.rate_per_s for step in found.steps] == [10.0, 20.0, 40.0, 48.0, 57.0, 80.0]
    assert (found.carried, found.failed) == (verdicts.step(48.0, carried=True), verdicts.step(57.0, carried=False))
    assert (
        next(found.sentences())
        == "The platform carries 48 fans per second and does not carry 57 fans per second: too slow."
    )


def test_beyond_the_highest_rate_nothing_is_said() -> None:
    found = climbed(1000.0, [10.0, 20.0], 2)
    assert [*found.sentences()] == [
        "The platform carries 20 fans per second, the highest rate that could be tried; "
        "where its limit lies was not seen."
    ]


def test_below_the_lowest_rate_it_looks_too() -> None:
    found = climbed(1.0, [8.0, 16.0], 2)
    assert [step.rate_per_s for step in found.steps] == [2.0, 4.0, 8.0]
    assert next(found.sentences()).startswith(
        "The platform does not carry 2 fans per second, the lowest rate that was tried"
    )


def test_a_good_run_above_a_bad_one_carries_nothing() -> None:
    found = Staircase(
        steps=(verdicts.step(10.0, carried=True), verdicts.step(20.0, carried=False), verdicts.step(40.0, carried=True))
    )
    assert (found.carried, found.failed) == (verdicts.step(10.0, carried=True), verdicts.step(20.0, carried=False))


@given(
    limit_per_s=st.floats(0.1, 500.0),
    rates=st.lists(st.integers(1, 400).map(float), min_size=1, max_size=6, unique=True).map(sorted),
    refinements=st.integers(0, 6),
)
def test_the_limit_lies_between_the_two_rates_and_the_runs_come_to_an_end(
    limit_per_s: float, rates: list[float], refinements: int
) -> None:
    found = climbed(limit_per_s, rates, refinements)
    assert 1 <= len(found.steps) <= len(rates) + refinements
    assert found.carried is None or found.carried.rate_per_s <= limit_per_s
    assert found.failed is None or found.failed.rate_per_s > limit_per_s
    assert found.carried or found.failed


def test_a_sale_is_foretold_at_the_rate_that_was_let_in() -> None:
    told = forecast(verdicts.step(10.0, carried=True), tickets=18_000, fans=200_000)
    assert told is not None
    assert [*told.sentences()] == [
        "At 10/s 18,000 tickets are sold out after 15 min 0 s.",
        "About 191,000 of 200,000 fans are still in line then.",
        "No ticket came back in these runs, so nothing is foretold of a second wave.",
    ]
    left = forecast(verdicts.step(10.0, carried=True), tickets=18_000, fans=3_000)
    assert left is not None
    assert [*left.sentences()] == ["At 10/s all 3,000 fans are in after 5 min 0 s, and tickets are left."]


def test_holds_that_were_never_paid_come_back_as_a_second_wave() -> None:
    bought = Buying(p99_s=2.0, ttl_s=8.0, paid=90, holds=99)
    told = forecast(replace(verdicts.step(10.0, carried=True), buying=bought), tickets=18_000, fans=200_000)
    assert told is not None
    assert told.coming_back == 1800
    assert [*told.sentences()][-1] == "About 1,800 of the tickets come back first, as holds end: a second wave."


def test_a_step_keeps_what_was_in_use_and_how_long_fans_needed(good: Verdict) -> None:
    [business, saturation] = good.examinations
    shares = replace(saturation, figures=(replace(saturation.figures[0], whole=2.0),))
    figures = (("to_pay_p99_s", 3.0, 40), ("ttl_s", 8.0, 44), ("never_paid", 4.0, 44))
    kept = tuple(Figure(name=name, title=name, value=value, unit="s", samples=of) for name, value, of in figures)
    exams = (business, shares, Examination(name="kept", title="Holds", question="", figures=kept))
    step = step_of(10.0, replace(good, examinations=exams))
    assert step.used == (Used(name="cpu_booking", title="CPU of booking", busy=0.8, whole=2.0),)
    assert step.buying == Buying(p99_s=3.0, ttl_s=8.0, paid=40, holds=44)
    assert (step_of(10.0, good).used, step_of(10.0, good).buying) == ((), None)


def test_without_a_sale_nothing_is_foretold(good: Verdict) -> None:
    assert forecast(step_of(10.0, replace(good, examinations=())), tickets=10, fans=10) is None
