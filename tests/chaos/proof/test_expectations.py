"""Expectations, judged on records written by hand: met, missed, unknown where the record lacks what should be there,
not exercised where nobody put them to the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from chaos.proof.expectations import expected, judge
from chaos.specification import experiment
from chaos.specification.expected import CounterIncreases, Expectation, MetricReaches
from chaos.specification.experiment import Experiment
from harness.errors import InputError
from harness.record.schema import SCHEMA_VERSION, TABLES, FaultRun, FaultsDocument
from harness.record.verdict import ExpectationResult

START, EFFECTIVE, HEAL, HEALED = 10.0, 10.2, 14.0, 14.3
BASE = experiment.load("redis-down")


@dataclass
class Paper:
    """A record on paper: one fault from 10 s to 14 s."""

    rows: dict[str, list[dict[str, object]]] = field(default_factory=lambda: {name: [] for name in TABLES})
    effective_s: float | None = EFFECTIVE
    wanted: dict[str, object] = field(default_factory=dict)
    makes_undecidable: dict[str, str] = field(default_factory=dict)

    @property
    def faults(self) -> FaultsDocument:
        own = {"expectations": [{"name": "it", **self.wanted}], "makes_undecidable": self.makes_undecidable}
        definition = {**msgspec.to_builtins(BASE), **own}
        run = FaultRun(
            experiment="redis-down", component="redis", kind="refuse", injector="toxiproxy", hypothesis="h",
            runbook="r",
            t_requested_s=START, t_effective_s=self.effective_s, t_heal_requested_s=HEAL, t_healed_s=HEALED,
            proven=True, measured={"refused_share": 1.0}, definition=definition,
        )  # fmt: skip
        return FaultsDocument(schema=SCHEMA_VERSION, faults=(run,))

    def table(self, name: str) -> pa.Table:
        schema = TABLES[name]
        defaults = {column.name: _zero(column.type) for column in schema if not column.nullable}
        return pa.Table.from_pylist([{**defaults, **row} for row in self.rows[name]], schema=schema)

    def stream_rows(self, stream: str, columns: Sequence[str], *, encoded: bool = False) -> pa.Table:
        events = self.table("events")
        return events.filter(pc.equal(events["stream"], stream)).select(columns)

    def metric(self, name: str, values: dict[float, float], *, source: str = "booking", **labels: str) -> None:
        text = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        for t_s, value in values.items():
            row = {"t_s": t_s, "source": source, "name": name, "labels": text, "value": value}
            self.rows["metrics"].append(row)

    def requests(self, step: str, count: int, took_ms: float, t_s: float = 12.0, **more: object) -> None:
        for number in range(count):
            at_s = t_s + number * 0.001
            row = {"step": step, "t_intended_s": at_s, "t_start_s": at_s, "t_end_s": at_s + took_ms / 1000, **more}
            self.rows["requests"].append({"status": 200, "outcome": "ok", **row})

    def event(self, event: str, t_s: float, stream: str = "feed", user: int = 1, **more: object) -> None:
        self.rows["events"].append({"event": event, "t_s": t_s, "stream": stream, "user": user, "epoch": "e", **more})

    def judged(self, **wanted: object) -> ExpectationResult:
        self.wanted = wanted
        (fault,) = judge(self)
        (result,) = fault.expectations
        return result


def _zero(kind: pa.DataType) -> object:
    return "" if pa.types.is_string(kind) else 0


OPENS = {"check": "metric", "metric": "breaker", "labels": {"dependency": "redis"}, "value": 2, "within_s": 2}


class TestMetric:
    """check: metric."""

    def test_met_when_it_reaches_the_value_in_time(self) -> None:
        paper = Paper()
        paper.metric("breaker", {9.5: 0, 10.5: 0, 11.0: 2, 15.0: 0}, dependency="redis")
        result = paper.judged(**OPENS, of="effective")
        assert (result.status, result.observed) == ("met", "after 0.8 s")
        assert result.expected == "breaker{dependency=redis} = 2 within 2 s of the fault"

    def test_missed_when_it_is_late_or_never(self) -> None:
        late, never = Paper(), Paper()
        late.metric("breaker", {10.5: 0, 12.0: 0, 13.0: 2}, dependency="redis")
        never.metric("breaker", {10.5: 0, 12.0: 0}, dependency="redis")
        assert late.judged(**OPENS, of="effective").observed == "after 2.8 s"
        assert late.judged(**OPENS, of="effective").status == "missed"
        assert never.judged(**OPENS, of="effective").observed == "never"

    def test_what_happened_before_does_not_count(self) -> None:
        paper = Paper()
        paper.metric("breaker", {9.0: 2, 10.5: 0, 11.5: 0}, dependency="redis")
        assert paper.judged(**OPENS, of="effective").status == "missed"

    def test_other_labels_do_not_count(self) -> None:
        paper = Paper()
        paper.metric("breaker", {10.5: 2}, dependency="db")
        paper.metric("breaker", {10.5: 0, 12.0: 0}, dependency="redis")
        assert paper.judged(**OPENS, of="effective").status == "missed"

    def test_one_series_is_enough_unless_all_are_asked_for(self) -> None:
        paper = Paper()
        paper.metric("breaker", {14.5: 0}, dependency="redis")
        paper.metric("breaker", {14.5: 2, 15.5: 2}, source="worker", dependency="redis")
        closes = {**OPENS, "value": 0, "of": "heal"}
        assert paper.judged(**closes, across="any").status == "met"
        assert paper.judged(**closes, across="all").status == "missed"

    @pytest.mark.parametrize("values", [{}, {9.0: 0}, {9.0: 0, 20.0: 0}])
    def test_unknown_without_a_sample_in_that_time(self, values: dict[float, float]) -> None:
        paper = Paper()
        paper.metric("breaker", values, dependency="redis")
        assert paper.judged(**OPENS, of="effective").status == "unknown"

    def test_a_metric_that_is_not_there_is_named(self) -> None:
        paper = Paper()
        assert paper.judged(**OPENS, of="effective").observed == "breaker was never scraped"
        paper.metric("breaker", {11.0: 2}, dependency="db")
        assert paper.judged(**OPENS, of="effective").observed == "no series of breaker with these labels was scraped"

    def test_each_scrape_in_the_time_that_was_given_is_a_chance(self) -> None:
        paper = Paper()
        paper.metric("breaker", {9.5: 0, 10.5: 0, 11.0: 2, 12.0: 2, 15.0: 0}, dependency="redis")
        assert paper.judged(**OPENS, of="effective").chances == 3

    def test_a_run_that_ends_before_the_time_is_over_has_missed_nothing(self) -> None:
        paper = Paper()
        paper.metric("breaker", {13.0: 2, 14.5: 2, 15.0: 2}, dependency="redis")
        closes = {**OPENS, "value": 0, "within_s": 5, "of": "heal"}
        result = paper.judged(**closes)
        assert (result.status, result.chances) == ("unknown", 0)
        assert result.observed == "not yet when the last metrics were scraped, 1.0 s after"
        paper.metric("other", {18.5: 1})
        assert paper.judged(**closes).status == "missed"

    def test_what_never_left_its_value_was_not_put_to_the_test(self) -> None:
        """A breaker that never opened is no breaker that closes again."""
        paper = Paper()
        paper.metric("breaker", {9.0: 2, 10.5: 0, 12.0: 0, 14.5: 0, 15.5: 0}, dependency="redis")
        closes = {**OPENS, "value": 0, "of": "heal", "across": "all"}
        result = paper.judged(**closes)
        assert (result.status, result.observed, result.chances) == ("not_exercised", "it was = 0 all the time", 0)
        paper.metric("breaker", {12.0: 2, 14.5: 0}, source="worker", dependency="redis")
        assert paper.judged(**closes).status == "met"

    @pytest.mark.parametrize(("compare", "value", "status"), [("at_least", 5, "met"), ("at_most", 3, "missed")])
    def test_bounds(self, compare: str, value: float, status: str) -> None:
        paper = Paper()
        paper.metric("lag", {11.0: 7, 12.0: 7})
        wanted = {"check": "metric", "metric": "lag", "compare": compare, "value": value, "within_s": 2}
        assert paper.judged(**wanted, of="effective").status == status


GROWS = {"check": "increases", "metric": "fallbacks", "labels": {"kind": "ticket"}}


class TestIncreases:
    """check: increases."""

    def test_met_when_the_sum_of_all_series_grows(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 5, 11.0: 5, 13.0: 7}, kind="ticket")
        paper.metric("fallbacks", {9.0: 1, 11.0: 2}, source="worker", kind="ticket")
        assert paper.judged(**GROWS, by_at_least=3).observed == "by 3"
        assert paper.judged(**GROWS, by_at_least=3).status == "met"
        assert paper.judged(**GROWS, by_at_least=4).status == "missed"

    def test_growth_outside_the_fault_does_not_count(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {8.0: 1, 9.0: 5, 11.0: 5, 13.0: 5, 20.0: 9}, kind="ticket")
        assert paper.judged(**GROWS).status == "missed"

    def test_a_label_that_appears_during_the_fault_counts_from_zero(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 0, 12.0: 0}, kind="other")
        paper.metric("fallbacks", {12.0: 3}, kind="ticket")
        assert paper.judged(**GROWS).observed == "by 3"

    def test_a_restarted_counter_counts_from_zero(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 50, 11.0: 52, 12.0: 3}, kind="ticket")
        assert paper.judged(**GROWS).observed == "by 5"

    def test_a_label_that_never_appears_is_no_growth(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 0, 12.0: 0}, kind="other")
        assert paper.judged(**GROWS).status == "missed"

    def test_what_nobody_tried_is_not_judged(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 0, 12.0: 0}, kind="ticket")
        assert paper.judged(**GROWS, needs_step="join").status == "not_exercised"
        paper.requests("join", 2, 5)
        assert paper.judged(**GROWS, needs_step="join").status == "missed"
        assert paper.judged(**GROWS, needs_step="join").chances == 2

    def test_without_a_step_that_it_needs_each_scrape_is_a_chance(self) -> None:
        paper = Paper()
        paper.metric("fallbacks", {9.0: 0, 12.0: 0, 12.5: 1}, kind="ticket")
        paper.metric("fallbacks", {9.0: 0, 12.0: 0, 12.5: 0}, kind="other")
        assert paper.judged(**GROWS).chances == 2

    def test_unknown_when_nothing_was_scraped(self) -> None:
        assert Paper().judged(**GROWS).status == "unknown"
        blind = Paper()
        blind.metric("fallbacks", {9.0: 1, 20.0: 5}, kind="ticket")
        assert blind.judged(**GROWS).status == "unknown"


FAST = {"check": "response_time", "step": "seat_map", "quantile": 0.99, "at_most_ms": 500}


class TestResponseTime:
    """check: response_time."""

    def test_met_and_missed(self) -> None:
        paper = Paper()
        paper.requests("seat_map", 99, 100)
        assert paper.judged(**FAST).status == "met"
        paper.requests("seat_map", 1, 2000)
        assert paper.judged(**FAST).status == "met"
        paper.requests("seat_map", 2, 2000)
        assert paper.judged(**FAST).status == "missed"

    def test_only_the_window_and_the_step_count(self) -> None:
        paper = Paper()
        paper.requests("seat_map", 20, 100)
        paper.requests("seat_map", 20, 9000, t_s=5.0)
        paper.requests("seat_map", 20, 9000, t_s=14.1)
        paper.requests("hold", 20, 9000)
        assert paper.judged(**FAST).status == "met"

    def test_not_exercised_with_too_few_requests(self) -> None:
        paper = Paper()
        assert paper.judged(**FAST).status == "not_exercised"
        paper.requests("seat_map", 9, 100)
        result = paper.judged(**FAST)
        assert (result.status, result.observed) == ("not_exercised", "only 9 requests, 10 are needed")
        paper.requests("seat_map", 1, 100)
        assert (paper.judged(**FAST).status, paper.judged(**FAST).chances) == ("met", 10)

    def test_bots_and_what_the_end_of_the_run_cut_do_not_count(self) -> None:
        paper = Paper()
        paper.requests("seat_map", 10, 100)
        paper.requests("seat_map", 10, 9000, kind="bot")
        paper.requests("seat_map", 10, 9000, outcome="unknown", error="stopped")
        result = paper.judged(**FAST)
        assert (result.status, result.chances) == ("met", 10)


class TestRequests:
    """check: requests."""

    def test_the_share_of_a_status(self) -> None:
        paper = Paper()
        paper.requests("hold", 8, 5, status=503, outcome="fail", error="status")
        paper.requests("hold", 2, 5, status=201)
        refused = {"check": "requests", "step": "hold", "status": [503], "outcome": ["fail"], "error": ["status"]}
        assert paper.judged(**refused, at_least=0.8).status == "met"
        assert paper.judged(**refused, at_least=0.9).status == "missed"
        assert paper.judged(**refused, at_most=0.5).status == "missed"
        assert paper.judged(**refused, at_least=0.8).observed == "80 % of 10 requests"

    def test_not_exercised_without_requests(self) -> None:
        paper = Paper()
        paper.requests("hold", 50, 5, t_s=20.0)
        result = paper.judged(check="requests", step="hold", outcome=["ok"], at_least=0.5)
        assert (result.status, result.observed) == ("not_exercised", "only 0 requests, 5 are needed")


PAUSED = {"check": "events", "stream": "positions", "event": "paused"}


class TestEvents:
    """check: events."""

    def test_met_when_they_arrive(self) -> None:
        paper = Paper()
        paper.event("paused", 11.0, "positions")
        assert (paper.judged(**PAUSED).status, paper.judged(**PAUSED).chances) == ("met", 1)

    def test_missed_when_somebody_waits_and_hears_nothing(self) -> None:
        paper = Paper()
        paper.event("connect", 3.0, "positions")
        paper.event("position", 9.0, "positions")
        assert paper.judged(**PAUSED).status == "missed"

    def test_each_client_who_waits_is_a_chance(self) -> None:
        paper = Paper()
        for user in range(3):
            paper.event("position", 9.0, "positions", user=user)
        paper.event("paused", 11.0, "positions", user=1)
        assert (paper.judged(**PAUSED).status, paper.judged(**PAUSED).chances) == ("met", 3)
        assert (paper.judged(**PAUSED, at_least=2).status, paper.judged(**PAUSED, at_least=2).chances) == ("missed", 3)

    def test_a_bot_and_a_fan_of_one_number_are_two_clients(self) -> None:
        paper = Paper()
        paper.event("position", 8.0, "positions", kind="fan")
        paper.event("admitted", 9.0, "positions", kind="bot")
        assert paper.judged(**PAUSED).status == "missed"

    def test_not_exercised_when_nobody_waits(self) -> None:
        paper = Paper()
        paper.event("connect", 3.0, "positions")
        paper.event("admitted", 9.0, "positions")
        result = paper.judged(**PAUSED)
        assert (result.status, result.observed) == ("not_exercised", "nobody was on the positions stream")


BACK = {"check": "reconnects", "stream": "feed", "within_s": 3}


class TestReconnects:
    """check: reconnects."""

    def cut(self, *back_after_s: float | None) -> Paper:
        paper = Paper()
        for user, after_s in enumerate(back_after_s):
            paper.event("connect", 1.0, user=user)
            paper.event("disconnect", 10.1, user=user, key="reset")
            if after_s is not None:
                paper.event("connect", 10.1 + after_s, user=user)
        paper.event("score", 30.0, user=99)
        return paper

    def test_met_when_all_are_back(self) -> None:
        result = self.cut(0.5, 2.0).judged(**BACK)
        assert (result.status, result.observed) == ("met", "100 % of 2 clients, the slowest after 2 s")
        assert result.chances == 2

    def test_missed_when_one_is_late_or_lost(self) -> None:
        assert self.cut(0.5, 4.0).judged(**BACK).status == "missed"
        assert self.cut(0.5, None).judged(**BACK).observed == "50 % of 2 clients, one never"
        assert self.cut(0.5, None).judged(**BACK, share_at_least=0.5).status == "met"

    def test_not_exercised_when_nobody_was_cut(self) -> None:
        paper = Paper()
        paper.event("connect", 1.0)
        paper.event("disconnect", 11.0, key="")
        paper.event("score", 30.0)
        result = paper.judged(**BACK)
        assert (result.status, result.observed) == ("not_exercised", "no client was cut off")

    def test_those_whom_the_end_of_the_run_leaves_no_time_are_not_judged(self) -> None:
        paper = Paper()
        paper.event("disconnect", 11.0, key="reset")
        paper.event("score", 12.0, user=2)
        result = paper.judged(**BACK)
        assert result.status == "not_exercised"
        assert result.observed == "the run ended less than 3 s after the first was cut off"


class TestPeopleOfOneNumber:
    """A fan, a bot and a lurker may have the same number; they are three people."""

    def test_a_fan_still_waits_when_the_bot_of_the_same_number_was_admitted(self) -> None:
        paper = Paper()
        paper.event("connect", 3.0, "positions", kind="fan", actor="fan-000001")
        paper.event("admitted", 9.0, "positions", kind="bot", actor="bot-000001")
        assert paper.judged(**PAUSED).status == "missed"

    def test_a_bot_that_hears_is_no_fan_who_hears(self) -> None:
        paper = Paper()
        paper.event("connect", 3.0, "positions", kind="fan", actor="fan-000001")
        paper.event("paused", 11.0, "positions", kind="bot", actor="bot-000001")
        assert paper.judged(**PAUSED).status == "missed"

    def test_another_kind_does_not_come_back_for_a_client_that_was_cut(self) -> None:
        paper = Paper()
        paper.event("disconnect", 10.1, kind="spectator", actor="spectator-000001", key="reset")
        paper.event("connect", 10.2, kind="fan", actor="fan-000001")
        paper.event("score", 30.0, user=99)
        assert paper.judged(**BACK).observed == "0 % of 1 clients, one never"

    def test_the_counts_of_two_followers_are_two_counts(self) -> None:
        paper = Paper()
        for kind, seq in (("spectator", 5), ("fan", 50)):
            paper.event("snapshot", 1.0, kind=kind, actor=f"{kind}-000001", seq=seq)
            paper.event("seat", 11.0, kind=kind, actor=f"{kind}-000001", seq=seq + 1)
        assert paper.judged(check="no_gap").observed == "0 gaps in 2 changes"

    def test_bots_that_are_turned_away_are_no_failed_requests(self) -> None:
        paper = Paper()
        paper.requests("join", 10, 5, kind="fan")
        paper.requests("join", 90, 5, kind="bot", status=403, outcome="fail")
        wanted = {"check": "requests", "step": "join", "outcome": ["ok"], "at_least": 0.99}
        assert paper.judged(**wanted).observed == "100 % of 10 requests"


def test_a_share_just_below_its_limit_is_not_shown_as_the_limit() -> None:
    paper = Paper()
    paper.requests("hold", 1999, 5)
    paper.requests("hold", 1, 5, outcome="fail")
    result = paper.judged(check="requests", step="hold", outcome=["ok"], at_least=1.0)
    assert (result.status, result.observed) == ("missed", "99.95 % of 2,000 requests")
    assert result.expected.startswith("at least 100 %")


class TestNoGap:
    """check: no_gap."""

    def feed(self, *rows: tuple[str, int, float]) -> ExpectationResult:
        paper = Paper()
        for event, seq, t_s in rows:
            paper.event(event, t_s, seq=seq)
        return paper.judged(check="no_gap")

    def test_met_when_the_count_goes_on(self) -> None:
        result = self.feed(("snapshot", 5, 1), ("seat", 5, 1), ("seat", 6, 11), ("connect", 6, 12), ("seat", 7, 13))
        assert (result.status, result.observed) == ("met", "0 gaps in 2 changes")
        assert result.chances == 2

    def test_missed_when_a_number_is_skipped(self) -> None:
        result = self.feed(("snapshot", 5, 1), ("seat", 6, 11), ("seat", 8, 12))
        assert (result.status, result.observed) == ("missed", "1 gaps in 2 changes")

    def test_a_snapshot_after_a_resync_is_no_gap(self) -> None:
        rows = (("seat", 6, 9), ("resync", 50, 11), ("snapshot", 50, 11), ("seat", 50, 11), ("seat", 51, 12))
        assert self.feed(*rows).status == "met"

    def test_gaps_outside_the_fault_are_not_its_own(self) -> None:
        assert self.feed(("snapshot", 1, 1), ("seat", 9, 2), ("seat", 10, 12), ("seat", 99, 40)).status == "met"

    def test_not_exercised_without_a_change(self) -> None:
        assert self.feed(("snapshot", 1, 1), ("seat", 2, 2)).status == "not_exercised"


def test_everything_is_unknown_when_the_fault_was_never_seen() -> None:
    paper = Paper(effective_s=None)
    paper.metric("breaker", {10.5: 2}, dependency="redis")
    result = paper.judged(**OPENS, of="effective")
    assert (result.status, result.observed) == ("unknown", "the fault was never seen in force")


def test_a_fault_is_told_with_its_times() -> None:
    paper = Paper(wanted={"check": "no_gap"})
    (fault,) = judge(paper)
    assert (fault.t_start_s, fault.t_end_s, fault.requested_s) == (START, HEALED, HEAL - START)
    assert fault.effective_s == pytest.approx(HEALED - EFFECTIVE)
    assert fault.healed_s == pytest.approx(HEALED - HEAL)
    assert fault.canary == {"injector": "toxiproxy", "refused_share": 1.0}


def test_a_definition_that_is_no_experiment_is_bad_input() -> None:
    paper = Paper(wanted={"check": "no_such_check"})
    with pytest.raises(InputError, match=r"faults\.json: the definition of redis-down is no experiment"):
        judge(paper)


def test_what_a_fault_makes_undecidable_is_told_with_it() -> None:
    paper = Paper(wanted={"check": "no_gap"}, makes_undecidable={"queue_order": "all places are lost"})
    (fault,) = judge(paper)
    assert fault.makes_undecidable == {"queue_order": "all places are lost"}


def test_no_shipped_expectation_is_met_by_an_empty_record() -> None:
    for name in experiment.names():
        loaded: Experiment = experiment.load(name)
        for expectation in loaded.expectations:
            raw = msgspec.to_builtins(expectation)
            result = Paper().judged(**raw)
            on_metrics = isinstance(expectation, MetricReaches | CounterIncreases)
            assert result.status == ("unknown" if on_metrics else "not_exercised"), (name, expectation)
            assert result.chances == 0
            assert len(_said(expectation)) < 120


def _said(expectation: Expectation) -> str:
    text = expected(expectation)
    assert "\n" not in text
    return text
