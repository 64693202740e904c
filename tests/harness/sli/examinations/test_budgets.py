"""Error budgets over the sale."""

from __future__ import annotations

import pytest

from harness.record.verdict import Figure
from harness.scenario.openslo import Slo
from harness.sli.examinations import examine
from harness.sli.examinations.budgets import budgets
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty


def asked(builder: RunBuilder, *slos: Slo) -> RunBuilder:
    return builder.changed(scenario=builder.run.scenario | {"slos": list(slos)})


def figures(builder: RunBuilder) -> dict[str, Figure]:
    return {figure.name: figure for figure in budgets(Observations(builder.record()))}


def holds(builder: RunBuilder, *took_s: float) -> RunBuilder:
    for fan, took in enumerate(took_s):
        t_s = 2.0 * fan
        builder.operation(fan, "hold", f"h-{fan}", {"seats": [f"A-{fan}"], "ttl_s": 8.0}, t_s, t_s + took)
    return builder


def test_the_budget_is_gone_when_one_more_is_known_to_be_too_slow_than_may_be() -> None:
    slo = Slo(name="hold-latency", step="hold", target=0.8, within_ms=500.0)
    found = figures(asked(holds(empty(), *([0.1] * 5), 2.0, 0.1, 2.0, 0.1, 2.0), slo))
    assert found["used/hold-latency"].value == pytest.approx(1.5)  # 3 of 2 that may be bad
    assert found["gone_s/hold-latency"].value == pytest.approx(18.5)  # the third at T+18 s, known half a second later
    assert found["used/hold-latency"].note == "80 % of hold to be within 500 ms, 70 % were"


def test_a_budget_that_lasts_is_used_in_part() -> None:
    slo = Slo(name="hold-latency", step="hold", target=0.8, within_ms=500.0)
    found = figures(asked(holds(empty(), 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9), slo))
    assert found["used/hold-latency"].value == pytest.approx(0.5)
    gone = found["gone_s/hold-latency"]
    assert (gone.value, gone.note) == (None, "it lasted for the whole sale")


def test_of_what_nobody_asked_nothing_is_used() -> None:
    found = figures(asked(empty(), Slo(name="pay", step="pay", target=0.9, within_ms=10.0)))
    assert (found["used/pay"].value, found["gone_s/pay"].note) == (None, "nothing was asked")


def test_errors_are_of_all_requests() -> None:
    builder = RunBuilder(fans=6)
    rows = [row for row in builder.tables["requests"] if row["step"] != "settle" and row["kind"] != "probe"]
    rows[3] |= {"outcome": "fail", "error": "status"}
    found = figures(asked(builder, Slo(name="up", step="all", target=0.5)))
    assert found["used/up"].value == pytest.approx(1 / (0.5 * found["used/up"].samples))


def test_only_a_scenario_with_slos_is_examined_for_them() -> None:
    assert "budgets" not in {exam.name for exam in examine(empty().record())}
    slo = Slo(name="hold", step="hold", target=0.9, within_ms=10.0)
    assert "budgets" in {exam.name for exam in examine(asked(empty(), slo).record())}
