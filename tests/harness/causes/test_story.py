"""One fan's story, from a record in which everything about them is known."""

from __future__ import annotations

import pytest

from harness.causes import phases, unlucky_stories, with_causes
from harness.causes.story import story, unlucky
from harness.errors import InputError
from harness.record.verdict import Story
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty
from tests.harness.sli.test_recovery_gap import redis_down
from tests.reports.verdicts import ready

SEATS = {"seats": ["101-A-1", "101-A-2"]}


def told() -> RunBuilder:
    """Fan 1 of `redis_down`: refused while Redis is down, then holds and pays."""
    builder = redis_down()
    for at, t_s in enumerate((0.3, 0.5, 0.7)):
        builder.event(1, "positions", "position", t_s)["value"] = 9 - at
    refused = builder.operation(1, "hold", "", SEATS, 6.0, 6.1, "fail", "status")
    builder.request(1, "hold", 6.0, 0.1, outcome="fail", status=503, op=int(str(refused["op"])))
    again = builder.operation(1, "hold", "h-1", SEATS, 9.4, 9.5)
    again |= {"retry_of": refused["op"], "t_intended_s": 6.0}
    value = SEATS | {"hold_id": "h-1", "order_id": "o-1", "amount_cents": 12350, "state": "confirmed"}
    builder.operation(1, "pay", "k-1", value, 9.8, 9.9)
    return builder


def of(builder: RunBuilder, name: str) -> Story:
    record = builder.record()
    seen = Observations(record)
    return story(seen, name, phases(record, seen))


def test_every_step_is_told_with_wait_retry_seats_and_fault() -> None:
    found = of(told(), "fan-0001")
    lines = [(line.what, line.ended, line.faults) for line in found.lines]
    assert lines == [
        ("joined the line at place 1", "ok", ()),
        ("was told 3 times their place: 9 to 7", "", ()),
        ("was called in", "", ()),
        ("was let in as number 2", "ok", ()),
        ("asked for 101-A-1, 101-A-2", "fail: status; answered 503", ("redis-down",)),
        ("tried again: holds 101-A-1, 101-A-2", "ok", ()),
        ("paid for 101-A-1, 101-A-2, 123.50: confirmed", "ok", ()),
    ]
    assert found.lines[5].took_s == pytest.approx(3.5)  # from when it was first meant
    assert found.sum_up == "has a ticket, told 9.8 s after the first step"


def test_counts_of_sections_are_a_step_as_any_other() -> None:
    builder = told()
    builder.operation(1, "count", "", {"free": {"101": 8, "102": None}, "stale": True}, 5.5, 5.6)
    found = [line.what for line in of(builder, "fan-0001").lines if "each section" in line.what]
    assert found == ["looked how many are left in each section, marked stale"]


def test_what_cannot_be_told_takes_nothing_else_away() -> None:
    builder = told()
    builder.operation(1, "enter", "", {"seats": "many"}, 5.5, 5.6, "fail", "status")
    record = builder.record()
    judged = with_causes(record, ready(record))
    [untold] = [cause.sentence for cause in judged.causes if not cause.of]
    assert untold.startswith("stories could not be told: ")
    assert judged.stories == ()
    assert [cause for cause in judged.causes if cause.of] != []


def test_a_retry_met_the_faults_between_its_own_begin_and_its_end() -> None:
    """It was meant at T+4 s, and begun at T+4.8 s: redis-down came into force only after it had ended."""
    builder = redis_down()
    refused = builder.operation(1, "hold", "", SEATS, 4.0, 4.1, "fail", "conflict")
    builder.operation(1, "hold", "h-1", SEATS, 4.8, 4.9, retry_of=int(str(refused["op"])), t_intended_s=4.0)
    [again] = [line for line in of(builder, "fan-0001").lines if line.what.startswith("tried again")]
    assert (again.took_s, again.faults) == (pytest.approx(0.9), ())


def test_an_operation_of_another_worker_is_no_retry() -> None:
    """Workers number their operations on their own."""
    builder = told()
    [again] = [row for row in builder.tables["operations"] if row["retry_of"] is not None]
    other = builder.operation(1, "look", "", {"free": 9}, 9.95, 9.96)
    other |= {"worker": 1, "op": again["op"]}
    retries = [line.what for line in of(builder, "fan-0001").lines if line.what.startswith("tried again")]
    assert retries == ["tried again: holds 101-A-1, 101-A-2"]


def test_a_long_story_says_how_many_steps_are_left_out() -> None:
    builder = empty()
    for at in range(402):
        builder.operation(1, "look", "", {"free": 9}, at / 100, at / 100 + 0.001)
    lines = of(builder, "fan-0001").lines
    assert (len(lines), lines[-1].what, lines[-1].t_s) == (401, "and 2 more steps", 4.0)
    builder.tables["operations"].pop()
    assert of(builder, "fan-0001").lines[-1].what == "and 1 more step"
    builder.tables["operations"].pop()
    assert len(of(builder, "fan-0001").lines) == 400


def test_a_number_names_a_fan_and_a_stranger_is_refused_with_the_nearest() -> None:
    assert of(told(), "1").actor == "fan-0001"
    with pytest.raises(InputError, match="nobody in the record is called fan-00001") as refused:
        of(told(), "fan-00001")
    assert "fan-0001" in str(refused.value)


def test_who_waited_longest_and_who_got_nothing_are_the_unlucky() -> None:
    builder = told()
    builder.operation(2, "hold", "", {"seats": ["101-A-1"]}, 3.0, 3.1, "fail", "conflict")
    builder.operation(0, "hold", "", {"seats": ["101-A-1"]}, 2.0, 2.1, "fail", "limit")
    record = builder.record()
    seen = Observations(record)
    picked = dict(unlucky(seen))
    assert picked["Waited longest for a ticket"] == "fan-0001"
    assert picked["Came first of those who got nothing though something was left"] != "fan-0000"
    assert [one.why for one in unlucky_stories(record, seen)] == list(picked)


def test_where_nobody_came_nobody_was_unlucky() -> None:
    assert unlucky(Observations(empty().record())) == ()
