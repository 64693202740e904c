"""What people wait for after a heal: stretches in which nobody got it."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit import audit
from harness.judging.grade import grade
from harness.record.verdict import RecoveryGap
from harness.sli import measure
from harness.sli.recovery_gap import Wanted, recovery_gaps
from reports.view.judged.faults import faults as fault_views
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty
from tests.paper_sale import EPOCH


def redis_down() -> RunBuilder:
    """Twenty wait; redis-down from 5 s to 9 s. Six are admitted as it heals, and nobody more before 11 s."""
    builder = empty()
    builder.fans = 20
    [first, *_] = RunBuilder().faults.faults
    fault = msgspec.structs.replace(first, t_requested_s=5.0, t_effective_s=5.1, t_heal_requested_s=8.9, t_healed_s=9.0)
    builder.faults = msgspec.structs.replace(builder.faults, faults=(fault,))
    admitted_s = [
        *(1.0 + 0.3 * n for n in range(6)),
        *(9.0 + 0.01 * n for n in range(1, 7)),
        *(11.0 + 0.1 * n for n in range(8)),
    ]
    for fan, t_s in enumerate(admitted_s):
        builder.request(fan, "join", 0.1, 0.1)
        builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, 0.1, 0.2)
        builder.event(fan, "positions", "admitted", t_s)
        builder.operation(fan, "enter", f"fan-{fan:04d}", {"admission_no": fan + 1}, t_s, t_s + 0.01)
    return builder


def gaps(builder: RunBuilder) -> dict[str, RecoveryGap]:
    record = builder.record()
    return {gap.step: gap for gap in recovery_gaps(record, record.faults.faults[0])}


def test_a_line_that_stands_still_after_the_heal_is_told() -> None:
    found = gaps(redis_down())
    assert list(found) == ["admission"]
    gap = found["admission"]
    assert (gap.t_from_s, gap.t_to_s) == (pytest.approx(9.06), pytest.approx(11.0))
    assert (gap.waiting, gap.bound_s) == (8, pytest.approx(1.5))


def test_it_is_a_finding_and_stands_with_its_fault_in_the_report() -> None:
    builder = redis_down()
    record = builder.record()
    [judged] = builder.fault_results()
    judged = msgspec.structs.replace(judged, gaps=recovery_gaps(record, record.faults.faults[0]))
    verdict = grade(record, measure(record), audit(record), (judged,))
    [found] = [one for one in verdict.findings if "stood still" in one.title]
    assert found.title == "redis-down: admission stood still for 1.94 s after the heal"
    assert "from T+9.060 s to T+11.000 s 8 waited for it and nobody got it; 1.5 s would be no finding" in found.evidence
    [row] = fault_views(record, verdict)[0].gaps
    assert (row.title, row.length.replace("\u00a0", " "), row.state.word) == ("Admission", "1.94 s", "stood still")


def test_nobody_waiting_is_no_gap() -> None:
    builder = redis_down()
    for name in ("operations", "events"):
        builder.tables[name] = [row for row in builder.tables[name] if int(str(row["actor"])[4:]) < 12]
    gap = gaps(builder)["admission"]
    assert gap.t_to_s - gap.t_from_s < 0.1


@pytest.mark.parametrize("step", ["seat_map", "hold", "pay"])
def test_a_step_that_people_try_in_vain_is_told_over_their_retries(step: str) -> None:
    builder = redis_down()
    for attempt, t_s in enumerate((9.2, 9.9, 10.8), start=1):
        builder.request(1, step, t_s, 0.1, t_intended_s=9.2, outcome="fail", status=503, attempt=attempt)
    builder.request(1, step, 12.0, 0.1, t_intended_s=9.2, attempt=4)
    gap = gaps(builder)[step]
    assert (gap.t_from_s, gap.t_to_s, gap.waiting) == (pytest.approx(9.2), pytest.approx(12.1), 4)


def test_a_platform_whose_hold_takes_its_time_is_not_blamed_for_one_hold() -> None:
    builder = redis_down()
    asked = {"seats": ["101-A-1"]}
    builder.operation(1, "hold", "h-1", asked, 1.0, 3.5)
    builder.request(1, "hold", 1.0, 2.5)
    builder.request(2, "hold", 9.5, 4.2)
    gap = gaps(builder)["hold"]
    assert (gap.t_to_s - gap.t_from_s, gap.bound_s) == (pytest.approx(4.2), pytest.approx(12.5))  # 5 x 2.5 s
    for fan in range(20):  # others got one all the while, each in two and a half seconds
        builder.operation(fan, "hold", f"h-{fan}", asked, 1.0 + fan / 10, 3.5 + fan / 10)
        builder.request(fan, "hold", 1.0 + fan / 10, 2.5)
    gap = gaps(builder)["hold"]
    assert (gap.t_to_s - gap.t_from_s, gap.bound_s) == (pytest.approx(4.2), pytest.approx(5.0))  # 2 x 2.5 s


Times = st.integers(0, 60)


@given(
    wants=st.lists(st.tuples(Times, Times), max_size=8), got=st.lists(Times, max_size=6), bounds=st.tuples(Times, Times)
)
def test_the_longest_stretch_is_what_counting_by_the_tick_gives(
    wants: list[tuple[int, int]], got: list[int], bounds: tuple[int, int]
) -> None:
    """Oracle: tick by tick, wanted by somebody and not ended by somebody who got it."""
    start, end = min(bounds), max(bounds)
    spans = [(min(pair), max(pair)) for pair in wants]
    best = run = 0
    for tick in range(start, end):
        run = run if tick not in got else 0
        run = run + 1 if any(a <= tick and tick + 1 <= b for a, b in spans) else 0
        best = max(best, run)
    columns = np.array(spans, dtype=float).reshape(-1, 2)
    found = Wanted(columns[:, 0], columns[:, 1], np.array(got, dtype=float)).longest(start, end)
    assert (found[1] - found[0] if found else 0) == best
