"""The history as columns: what is walked is what was recorded, from memory and from disk alike."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest

from harness.audit.history import Evidence
from harness.audit.invariants import audit
from harness.audit.operations import COLUMNS, EnterValue, History
from harness.errors import InputError
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR, Function, Outcome
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty


def two_enters() -> RunBuilder:
    """The later one is recorded first; a bot does it, who is somebody else too."""
    builder = empty()
    builder.operation(2, "enter", "b", {}, 5.0, None, "unknown", "timeout", actor="bot-000002", identity="reseller-1")
    builder.operation(1, "enter", "a", {"admission_no": 7}, 1.0, 2.5)
    return builder


def test_operations_are_walked_in_the_order_of_their_invocation() -> None:
    enters = Evidence(two_enters().record()).enters
    first, second = enters
    assert (first.actor, first.key, first.value, first.outcome) == ("fan-0001", "a", EnterValue(7), Outcome.OK)
    assert (first.t_invoke_s, first.t_complete_s, first.t_end_s) == (1.0, 2.5, 2.5)
    assert (second.error, second.t_complete_s, second.t_end_s) == ("timeout", None, 5.0)
    assert enters[1] == second
    assert len(enters) == 2


def test_what_can_be_told_from_the_columns_is_told_without_walking() -> None:
    enters = Evidence(two_enters().record()).enters
    assert enters.unknowns == 1
    assert [enter.actor for enter in enters.ok] == ["fan-0001"]
    assert [enter.actor for enter in enters.failed_with("timeout")] == ["bot-000002"]
    assert [enter.actor for enter in enters.naming("admission_no")] == ["fan-0001"]
    assert enters.aliases == {"bot-000002": "reseller-1"}
    assert enters.first_invoked_s == {"fan-0001": 1.0, "bot-000002": 5.0}
    assert enters.t_end_s.tolist() == [2.5, 5.0]
    assert enters.actors.to_pylist() == ["fan-0001", "bot-000002"]


def test_bots_can_be_left_out() -> None:
    assert [enter.actor for enter in Evidence(two_enters().record()).without(BOT_ACTOR).enters] == ["fan-0001"]


def test_a_part_reads_nothing_again_that_is_the_same_for_everybody() -> None:
    whole = Evidence(RunBuilder().record())
    part = whole.without(BOT_ACTOR)
    assert part.seats is whole.seats
    assert part.orders is whole.orders
    assert part.joins is whole.joins  # no bot came
    assert part.without("fan-").whole is whole
    assert not len(part.without("fan-").joins)


def test_the_fields_of_values_are_columns_of_a_part_as_of_the_whole() -> None:
    enters = Evidence(two_enters().record()).enters
    assert enters.column("admission_no").to_pylist() == [7, None]
    assert enters.column("epoch").to_pylist() == ["", ""]
    assert enters.doubtful.column("admission_no").to_pylist() == [None]
    assert enters.where(np.array([False, True])).failed_with("timeout").column("epoch").to_pylist() == [""]
    assert enters.where(np.array([True, True])) is enters


def test_a_number_that_no_array_can_hold_is_the_nearest_one_in_a_column() -> None:
    builder = empty()
    for number in (2**70, -(2**70), None, 3):
        builder.operation(1, "enter", "a", {"admission_no": number}, 1.0, 2.5)
    assert Evidence(builder.record()).enters.column("admission_no").to_pylist() == [2**62, -(2**62), None, 3]


def test_a_value_of_another_type_is_refused_in_a_column_as_in_an_operation() -> None:
    builder = empty()
    builder.operation(1, "enter", "a", {"admission_no": "seven"}, 1.0, 2.5)
    with pytest.raises(InputError, match=r"the value of a enter of fan-0001 cannot be read"):
        Evidence(builder.record()).enters.column("admission_no")


def test_what_was_first_of_each_actor_is_told_in_the_order_of_their_asking() -> None:
    builder = empty()
    for fan, t_s, end_s in ((2, 1.0, 9.0), (1, 2.0, 3.0), (2, 4.0, 5.0)):
        builder.operation(fan, "enter", "", {}, t_s, end_s)
    enters = Evidence(builder.record()).enters
    assert list(enters.first_invoked_s.items()) == [("fan-0002", 1.0), ("fan-0001", 2.0)]
    assert enters.first_ended_s == {"fan-0002": 5.0, "fan-0001": 3.0}


def test_operations_can_be_asked_for_as_often_as_one_likes_and_are_kept_once() -> None:
    history = History(two_enters().record().batches("operations", ("function", *COLUMNS)))
    first, again = (history.of(Function.ENTER, EnterValue) for _ in range(2))
    assert list(first) == list(again)
    assert first.rows is again.rows


def test_operations_are_freed_with_the_evidence_without_a_collection() -> None:
    evidence = Evidence(two_enters().record())
    kept = weakref.ref(evidence.enters)
    gc.disable()
    try:
        del evidence
        assert kept() is None
    finally:
        gc.enable()


def test_a_history_without_operations_has_none_of_any_function() -> None:
    history = History(empty().record().batches("operations", ("function", *COLUMNS)))
    assert list(history.of(Function.ENTER, EnterValue)) == []


def test_the_audit_of_a_run_on_disk_is_that_of_the_same_run_in_memory(tmp_path: Path) -> None:
    for builder in (RunBuilder(), RunBuilder().double_sell(), RunBuilder().jump_the_queue().regress_position()):
        written = builder.write(tmp_path / str(id(builder)))
        assert audit(Record.open(written.root)) == audit(builder.record())
