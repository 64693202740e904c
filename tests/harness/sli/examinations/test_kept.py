"""For how long fans need what is kept for them."""

from __future__ import annotations

import pytest

from harness.record.verdict import Figure
from harness.sli.examinations.kept import kept
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty


def figures(builder: RunBuilder) -> dict[str, Figure]:
    return {figure.name: figure for figure in kept(Observations(builder.record()))}


def test_it_is_measured_from_the_grant_to_the_answer_of_the_payment() -> None:
    builder = empty()
    for fan, took_s in enumerate((1.0, 2.0, 3.0), start=1):
        builder.operation(fan, "hold", f"h-{fan}", {"seats": [f"A-{fan}"], "ttl_s": 8.0}, 1.0, 1.5)
        builder.operation(fan, "pay", f"k-{fan}", {"hold_id": f"h-{fan}", "state": "confirmed"}, 2.0, 1.5 + took_s)
    builder.operation(4, "hold", "h-4", {"seats": ["A-4"], "ttl_s": 7.0}, 1.0, 1.5)
    found = figures(builder)
    assert found["to_pay_p50_s"].value == pytest.approx(2.0)
    assert found["to_pay_p99_s"].value == pytest.approx(3.0)
    assert found["to_pay_p99_s"].samples == 3
    assert found["ttl_s"].value == 7.0
    assert (found["never_paid"].value, found["never_paid"].samples) == (1, 4)


def test_without_a_hold_there_is_nothing_to_measure() -> None:
    assert figures(empty()) == {}
