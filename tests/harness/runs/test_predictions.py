"""Whether what was foretold came true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.record.verdict import Examination, Figure, SliResult, Verdict
from harness.runs.past import Past, PastRun
from harness.runs.predictions import Prediction, predictions
from harness.runs.staircase import Answer
from tests.builders import RunBuilder
from tests.harness.runs.test_proposals import step
from tests.reports import verdicts

RUN = RunBuilder(fans=2).run


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return verdicts.ready(RunBuilder(fans=2).record())


def sale(
    verdict: Verdict, *, sold: float = 600.0, gone_s: float | None = 30.0, empty: float = 0.0, rate: float = 30.0
) -> Verdict:
    def figure(name: str, value: float | None, unit: str, samples: int = 600) -> Figure:
        return Figure(name=name, title=name, value=value, unit=unit, samples=samples)

    business = (
        figure("on_sale", 600.0, "tickets"),
        figure("sold", sold, "tickets"),
        figure("sold_all_s", gone_s, "s"),
        figure("empty_handed", empty, "fans", 900),
    )
    admitted = SliResult(
        name="queue_admission_rate_per_s", value=rate, unit="per_s", objective=None, met=None, score=None, samples=9
    )
    exams = (Examination(name="business", title="Business", question="", figures=business),)
    return replace(verdict, examinations=exams, slis=(admitted,), causes=())


def answer(*, t0: str = "2026-11-20T10:00:00Z", scenario: str = RUN.scenario_name, rate: float = 40.0) -> Answer:
    steps = (step(rate), step(2 * rate, good=False))
    return Answer(schema="", scenario=scenario, stack="", versions={}, t0=t0, changes=(), steps=steps, said=())


def last(verdict: Verdict) -> Past:
    return Past(comparable=(PastRun(root=Path("a"), run=replace(RUN, run_id="a"), verdict=verdict),))


def by_title(found: tuple[Prediction, ...]) -> Iterator[tuple[str, bool]]:
    yield from ((one.title, one.held) for one in found)


def test_the_last_comparable_run_foretells_the_same_sale(verdict: Verdict) -> None:
    found = predictions(last(sale(verdict)), RUN, sale(verdict, sold=590.0, gone_s=33.0, empty=1.0, rate=29.0))
    assert dict(by_title(found)) == {"sold": True, "sold_all_s": True, "empty_handed": True, "Admission rate": True}
    assert {one.by for one in found} == {"run a"}


def test_what_came_otherwise_did_not_hold_and_both_figures_are_told(verdict: Verdict) -> None:
    found = predictions(last(sale(verdict)), RUN, sale(verdict, gone_s=51.0, empty=9.0, rate=20.0))
    assert dict(by_title(found)) == {"sold": True, "sold_all_s": False, "empty_handed": False, "Admission rate": False}
    gone = next(one for one in found if one.title == "sold_all_s")
    assert gone.in_words == "sold_all_s 51 s, foretold 24 s to 37.5 s"


def test_a_sale_that_was_to_sell_out_and_did_not_did_not_hold(verdict: Verdict) -> None:
    found = predictions(last(sale(verdict)), RUN, sale(verdict, sold=500.0, gone_s=None))
    gone = next(one for one in found if one.title == "sold_all_s")
    assert (gone.held, gone.in_words) == (False, "sold_all_s never, foretold 24 s to 37.5 s")


def test_a_rate_that_was_carried_is_foretold_to_be_carried(verdict: Verdict) -> None:
    run = replace(RUN, t0="2026-11-23T10:00:00Z", scenario=RUN.scenario | {"on_sale": {"admission_rate_per_s": 30}})
    for rate, held in ((28.0, True), (20.0, False)):
        found = predictions(Past(capacity=answer(scenario="capacity")), run, sale(verdict, rate=rate))
        assert [(one.title, one.held, one.low) for one in found] == [("Admission rate", held, 27.0)]


def test_of_its_own_scenario_it_foretells_when_all_is_sold(verdict: Verdict) -> None:
    run = replace(RUN, t0="2026-11-23T10:00:00Z", scenario=RUN.scenario | {"on_sale": {"admission_rate_per_s": 10}})
    [_, gone] = predictions(Past(capacity=answer()), run, sale(verdict, rate=10.0, gone_s=31.0))
    assert (gone.low, gone.high, gone.held) == (24.0, 37.5, True)  # 600 tickets at 10 fans per second, two each: 30 s


@pytest.mark.parametrize(
    "told",
    [answer(t0="2026-11-24T10:00:00Z"), answer(rate=20.0), None],
    ids=["measured later", "beyond what was carried", "never measured"],
)
def test_nothing_is_foretold_beyond_what_was_measured_before(verdict: Verdict, told: Answer | None) -> None:
    run = replace(RUN, t0="2026-11-23T10:00:00Z", scenario=RUN.scenario | {"on_sale": {"admission_rate_per_s": 30}})
    assert predictions(Past(capacity=told), run, sale(verdict)) == ()
