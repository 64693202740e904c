"""What fans try, judged from the operations: recovered, answered, or not put to the test."""

from __future__ import annotations

from harness.record.schema import LOST_ON_PURPOSE
from tests.chaos.proof.test_expectations import HEAL, HEALED, START, Paper

RECOVERS = {"check": "verbs_recover", "verbs": ["hold", "pay"], "within_s": 2}
ANSWERED = {"check": "verbs_answered", "unanswered_at_most": 0.05, "within_s": 2}
BEFORE, AFTER = START - 8, HEAL + 3


def tried(
    paper: Paper, function: str, count: int, t_s: float, took_ms: float = 100, outcome: str = "ok", **more: object
) -> None:
    for number in range(count):
        at_s = t_s + number * 0.01
        row = {"function": function, "actor": "fan-1", "t_intended_s": at_s, "t_invoke_s": at_s, "outcome": outcome,
               "t_complete_s": at_s + took_ms / 1000, "value": "{}", **more}  # fmt: skip
        paper.rows["operations"].append(row)


class TestRecovers:
    """check: verbs_recover."""

    def test_met_when_all_is_as_before(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER, took_ms=200)
        result = paper.judged(**RECOVERS)
        assert (result.status, result.chances) == ("met", 20)
        assert result.expected.startswith("hold, pay as before from 2 s after the heal")

    def test_a_crowd_that_grew_is_not_blamed_on_the_fault(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER, took_ms=5500)
        result = paper.judged(**RECOVERS)
        assert result.status == "met"
        assert result.observed == "hold: 100 % answered after, 100 % before; at least 95 % would do"

    def test_missed_when_one_verb_is_slower_than_allowed(self) -> None:
        paper = Paper()
        for verb, after_ms in (("hold", 100), ("pay", 2000)):
            tried(paper, verb, 20, BEFORE)
            tried(paper, verb, 20, AFTER, took_ms=after_ms)
        result = paper.judged(**RECOVERS, slower_at_most=3)
        assert result.status == "missed"
        assert result.observed.startswith("pay: ")

    def test_missed_when_fewer_are_answered(self) -> None:
        paper = Paper()
        tried(paper, "pay", 20, BEFORE)
        tried(paper, "pay", 18, AFTER)
        tried(paper, "pay", 2, AFTER, outcome="unknown", error="timeout")
        assert paper.judged(**RECOVERS).status == "missed"

    def test_answers_that_the_rehearsal_dropped_are_not_held_against_the_platform(self) -> None:
        paper = Paper()
        tried(paper, "pay", 20, BEFORE)
        tried(paper, "pay", 10, AFTER)
        dropped = f'{{"{LOST_ON_PURPOSE}": true}}'
        tried(paper, "pay", 2, AFTER, outcome="unknown", error="reset", t_complete_s=None, value=dropped)
        result = paper.judged(**RECOVERS)
        assert (result.status, result.chances) == ("met", 10)
        assert paper.judged(**ANSWERED).chances == 30
        tried(paper, "pay", 2, AFTER, outcome="fail", error="status", value=dropped)
        assert paper.judged(**RECOVERS).status == "missed"

    def test_one_that_never_ended_is_not_answered(self) -> None:
        paper = Paper()
        tried(paper, "pay", 20, BEFORE)
        tried(paper, "pay", 10, AFTER, outcome="unknown", t_complete_s=None)
        assert paper.judged(**RECOVERS).status == "missed"

    def test_a_platform_that_never_answered_some_is_not_blamed_on_the_fault(self) -> None:
        paper = Paper()
        for since_s in (BEFORE, AFTER):
            tried(paper, "pay", 20, since_s)
            tried(paper, "pay", 10, since_s + 1, outcome="unknown", t_complete_s=None)
            tried(paper, "map", 1, since_s + 2)
        result = paper.judged(**RECOVERS)
        assert (result.status, result.chances) == ("met", 30)
        assert result.observed.startswith("pay: 66.7 % answered after, 66.7 % before")

    def test_what_hangs_when_the_fault_begins_does_not_count(self) -> None:
        paper = Paper()
        tried(paper, "pay", 20, BEFORE)
        tried(paper, "pay", 1, START - 1, outcome="unknown", t_complete_s=None)
        tried(paper, "pay", 20, AFTER)
        assert "100 % before" in paper.judged(**RECOVERS).observed

    def test_sold_out_is_a_proper_answer(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER, outcome="fail", error="conflict")
        assert paper.judged(**RECOVERS).status == "met"

    def test_an_error_page_is_none(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER, outcome="fail", error="status")
        assert paper.judged(**RECOVERS).status == "missed"

    def test_a_retry_of_what_began_during_the_fault_does_not_count(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER)
        tried(paper, "hold", 20, START + 1, took_ms=9000, outcome="fail", error="status")
        tried(paper, "hold", 20, START - 1, took_ms=9000, outcome="fail", error="status")  # under way when it began
        assert paper.judged(**RECOVERS).status == "met"

    def test_bots_and_what_the_end_of_the_run_cut_do_not_count(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "hold", 20, AFTER)
        tried(paper, "hold", 20, AFTER, outcome="fail", error="status", actor="bot-1")
        tried(paper, "hold", 20, AFTER, outcome="unknown", error="stopped")
        assert paper.judged(**RECOVERS).status == "met"

    def test_not_exercised_when_nobody_tried_it_before_or_after(self) -> None:
        paper = Paper()
        tried(paper, "hold", 20, BEFORE)
        tried(paper, "pay", 20, AFTER)
        tried(paper, "hold", 4, AFTER)
        assert paper.judged(**RECOVERS).status == "not_exercised"

    def test_unknown_when_the_fault_was_never_in_force(self) -> None:
        paper = Paper(effective_s=None)
        assert paper.judged(**RECOVERS).status == "unknown"


class TestAnswered:
    """check: verbs_answered."""

    def test_met_when_all_but_a_few_are_answered(self) -> None:
        paper = Paper()
        tried(paper, "stock", 60, BEFORE)
        tried(paper, "pay", 38, AFTER, outcome="fail", error="declined")
        tried(paper, "pay", 2, AFTER, outcome="unknown", error="timeout")
        result = paper.judged(**ANSWERED)
        assert (result.status, result.chances) == ("met", 100)

    def test_missed_when_too_much_goes_unanswered(self) -> None:
        paper = Paper()
        tried(paper, "stock", 60, BEFORE)
        tried(paper, "pay", 10, AFTER, outcome="unknown", error="reset")
        assert paper.judged(**ANSWERED).status == "missed"

    def test_the_fault_and_its_recovery_do_not_count(self) -> None:
        paper = Paper()
        tried(paper, "stock", 30, BEFORE)
        tried(paper, "pay", 30, START + 0.5, outcome="unknown", error="reset")
        tried(paper, "pay", 30, HEALED, outcome="unknown", error="reset")
        assert paper.judged(**ANSWERED).status == "met"

    def test_not_exercised_when_nobody_tried_anything(self) -> None:
        assert Paper().judged(**ANSWERED).status == "not_exercised"
