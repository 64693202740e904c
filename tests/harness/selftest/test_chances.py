"""What exercises an invariant, left out of a record: no chance is left, and nothing is called held."""

from __future__ import annotations

from harness.audit import INVARIANTS
from harness.record.schema import TABLES, Function
from harness.selftest.chances import exercises, without
from tests.builders import RunBuilder

STREAMS = {"positions", "feed"}


def test_each_invariant_has_chances_and_none_without_what_exercises_it() -> None:
    found = exercises(RunBuilder().record())
    assert [one.invariant for one in found] == [name for name, one in INVARIANTS.items() if not one.only_of]
    assert [one.invariant for one in found if not one.is_sound] == []


def test_what_exercises_an_invariant_is_something_that_a_record_has() -> None:
    known = STREAMS | set(TABLES) | {function.value for function in Function}
    assert {name for spec in INVARIANTS.values() for name in spec.exercised_by} <= known
    assert all(spec.exercised_by for spec in INVARIANTS.values())


def test_chances_that_do_not_go_away_are_not_sound() -> None:
    record = RunBuilder().record()
    (found,) = (one for one in exercises(record) if one.invariant == "no_lost_order")
    assert found.is_sound
    assert without(record, ()).table("operations").num_rows == record.table("operations").num_rows
    assert without(record, ("pay",)).table("operations").num_rows < record.table("operations").num_rows
    assert without(record, ("final_ledger",)).table("final_ledger").num_rows == 0
    assert without(record, ("feed",)).table("events").num_rows < record.table("events").num_rows
