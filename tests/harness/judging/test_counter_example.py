"""What was broken and how it came about, line by line."""

from __future__ import annotations

from harness.judging.counter_example import counter_examples
from harness.record.verdict import HistoryStep, InvariantResult, Status, Violation


def test_the_first_violation_of_each_violated_invariant_is_told_step_by_step() -> None:
    history = (
        HistoryStep(t_s=2.6619, actor="fan-1", text="fan-1 was told order a is confirmed for seat S1"),
        HistoryStep(t_s=None, actor="order export", text="order b of fan-2 is confirmed for seat S1"),
    )
    broken = InvariantResult(
        name="no_double_sell",
        status=Status.VIOLATED,
        operations_checked=9,
        unknowns=0,
        violations=(Violation(summary="seat S1 was sold 2 times", history=history, faults=("redis-down",)),) * 2,
        violations_total=2,
    )
    held = InvariantResult(name="queue_order", status=Status.HELD, operations_checked=9, unknowns=0)
    assert list(counter_examples((held, broken))) == [
        "no_double_sell: seat S1 was sold 2 times",
        "        +2.662 s  fan-1 was told order a is confirmed for seat S1",
        "         at rest  order export: order b of fan-2 is confirmed for seat S1",
        "    in force then: redis-down",
    ]
    assert list(counter_examples((held,))) == []
