"""Ends that nobody saw: journeys that the run cut short and purchases without an answer are no pass."""

from __future__ import annotations

import msgspec
import pytest

from harness.audit import audit
from harness.judging.grade import grade
from harness.record.schema import CutSummary
from harness.record.verdict import Decision, Verdict
from harness.sli import measure
from tests.builders import RunBuilder


def judged(builder: RunBuilder) -> Verdict:
    record = builder.record()
    return grade(record, measure(record), audit(record), builder.fault_results())


def cut(builder: RunBuilder, *found: tuple[str, str, int]) -> RunBuilder:
    """Journeys of (kind, step, how many) were cut."""
    summaries = tuple(CutSummary(*one) for one in found)
    load = msgspec.structs.replace(builder.run.load, unfinished=sum(one.count for one in summaries), cut=summaries)
    return builder.changed(load=load)


def unanswered(builder: RunBuilder, every: int, error: str = "stopped") -> RunBuilder:
    """Let every so-manieth purchase go without an answer."""
    pays = [row for row in builder.tables["operations"] if row["function"] == "pay"]
    lost = set(sorted({row["key"] for row in pays})[::every])
    for row in pays:
        if row["key"] in lost:
            row |= {"outcome": "unknown", "error": error, "t_complete_s": None}
    return builder


def test_a_run_that_cut_most_journeys_gives_no_verdict_and_says_what_to_change() -> None:
    result = judged(cut(RunBuilder(), ("fan", "pay", 43), ("fan", "hold", 6)))
    assert result.verdict is Decision.NO_VERDICT
    text = "49 of 60 journeys of fans were cut by the end of the run (43 at pay, 6 at hold)"
    assert [one.text for one in result.reasons] == [f"{text}: what came of them was not seen."]
    assert "duration_s" in result.reasons[0].action
    assert "load.fans" in result.reasons[0].action


def test_a_record_that_does_not_say_where_they_were_cut_is_judged_by_their_number() -> None:
    builder = RunBuilder()
    builder.changed(load=msgspec.structs.replace(builder.run.load, unfinished=49))
    assert judged(builder).verdict is Decision.NO_VERDICT


@pytest.mark.parametrize(
    ("found", "grade"),
    [
        ((("fan", "pay", 6),), "A"),
        ((("fan", "seat_map", 20),), "B"),
        ((("fan", "positions", 20),), "A"),
        ((("fan", "positions", 40),), "B"),
        ((("fan", "positions", 40), ("fan", "hold", 4)), "B"),
        ((("bot", "hold", 60), ("lurker", "queue_page", 500)), "A"),
    ],
)
def test_some_cut_journeys_cap_the_grade_by_where_they_were(
    found: tuple[tuple[str, str, int], ...], grade: str
) -> None:
    result = judged(cut(RunBuilder(), *found))
    assert (result.verdict, result.grade) == (Decision.READY, grade)
    assert bool(result.held_at) is (grade == "B")


def test_fans_in_line_are_not_counted_among_those_who_came_in() -> None:
    result = judged(cut(RunBuilder(), ("fan", "positions", 50), ("fan", "hold", 6)))
    assert result.verdict is Decision.NO_VERDICT
    assert "6 of 10 journeys" in result.reason


def test_purchases_that_mostly_had_no_answer_give_no_verdict() -> None:
    builder = RunBuilder(faulty=False)
    pays = [row for row in builder.tables["operations"] if row["function"] == "pay"]
    kept = pays[0]["key"]
    for row in pays:
        if row["key"] != kept:
            row |= {"outcome": "unknown", "error": "stopped", "t_complete_s": None}
    result = judged(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert any("what is said of purchases rests on 1." in one.text for one in result.reasons)


def test_purchases_in_flight_at_the_end_cap_the_grade() -> None:
    result = judged(unanswered(RunBuilder(faulty=False), 4))
    assert (result.verdict, result.grade) == (Decision.READY, "B")
    assert "waited for their answer when the run ended" in result.held_at[0].text


@pytest.mark.parametrize("counted", [0, 5, 7, 60])
def test_cut_journeys_that_do_not_add_up_give_no_verdict(counted: int) -> None:
    builder = cut(RunBuilder(), ("fan", "pay", 4), ("bot", "hold", 2))
    assert judged(builder).verdict is Decision.READY
    builder.changed(load=msgspec.structs.replace(builder.run.load, unfinished=counted))
    result = judged(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert [one.text for one in result.reasons] == [
        f"The record says of {counted} journeys that the end of the run cut them, and where of 6: "
        "what came of fans cannot be told."
    ]
