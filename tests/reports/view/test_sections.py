from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec.structs import replace

from harness.record.reader import Record
from reports import view
from reports.view import frames
from reports.view.judged import limits, untested
from tests.builders import RunBuilder
from tests.reports import verdicts


def words(text: str) -> str:
    return text.replace("\u00a0", " ")


def test_findings_are_ranked_gravest_first(record: Record) -> None:
    page = view.build(record, verdicts.not_ready(record))
    assert [finding.state.word for finding in page.findings] == ["critical", "minor", "info"]
    assert page.page_one.top == tuple(enumerate(page.findings, start=1))


def test_without_findings_the_weakest_indicator_is_named(record: Record) -> None:
    page = view.build(record, replace(verdicts.ready(record), findings=()))
    assert page.page_one.top == ()
    assert page.headline.weakest is not None
    assert page.headline.weakest.title == "Hold response time, p99"


def test_indicators_are_ordered_weakest_scored_first_then_unscored(record: Record) -> None:
    rows = view.build(record, verdicts.ready(record)).indicators
    assert [row.name for row in rows][:2] == ["hold_response_p99_ms", "error_ratio"]
    assert [row.state.word for row in rows][-2:] == ["no samples", "no objective"]
    assert rows[-2].score_percent is None


def test_samples_that_do_not_add_up_stand_out(record: Record) -> None:
    verdict = verdicts.ready(record)
    assert verdict.load is not None
    load = replace(verdict.load, samples_recorded=verdict.load.requests_sent - 1)
    fact = view.build(record, replace(verdict, load=load)).headline.load[2]
    assert fact.tone == "bad"
    assert fact.note.startswith("≠")


def test_a_fault_shows_its_moments_and_what_its_canary_saw(record: Record) -> None:
    fault = view.build(record, verdicts.ready(record)).faults[0]
    assert [(moment.name, words(moment.at)) for moment in fault.moments] == [
        ("requested", "T+6.0 s"),
        ("effective", "T+6.1 s"),
        ("heal requested", "T+10.0 s"),
        ("healed", "T+10.2 s"),
    ]
    assert words(fault.moments[3].note) == "200 ms later"
    assert [probe.good for probe in fault.probes] == [True, False, True]
    assert all(0 <= probe.left_percent <= probe.left_percent + probe.width_percent <= 101 for probe in fault.probes)
    assert ("latency p50", "8,003 ms") in [(name, words(value)) for name, value in fault.canary]
    assert fault.tally == "1 of 3 expectations met"


def test_a_fault_that_is_not_in_the_record_shows_what_the_verdict_knows(quiet: Record, record: Record) -> None:
    fault = view.build(quiet, verdicts.ready(record)).faults[0]
    assert [words(moment.at) for moment in fault.moments] == ["T+6.0 s", "T+10.2 s"]
    assert fault.probes == ()


def test_the_signal_nearest_its_limit_comes_first(tmp_path: Path) -> None:
    builder = RunBuilder(fans=12)
    for number, row in enumerate(builder.tables["generator"]):
        row["cpu_percent"] = 97.0 if number >= 10 else 20.0
    record = Record.open(builder.write(tmp_path).root)
    found = limits.limits(record, frames.read(record))
    assert found.summary.startswith("First to pass 80 % of its limit: load generator CPU, at T+")
    assert found.signals[0].title == "Load generator CPU"
    assert found.signals[0].near
    assert {signal.limit for signal in found.signals[2:]} == {"no known limit"}


def test_database_write_time_is_the_bound_of_its_bucket(tmp_path: Path) -> None:
    builder = RunBuilder(fans=12)
    builder.tables["metrics"] = []
    for t_s in (0.0, 4.0, 6.0, 9.0):
        for bound, share in (("0.01", 0.5), ("0.05", 1.0), ("+Inf", 1.0)):
            builder.metric(t_s, "booking", "target_db_write_seconds_bucket", 100 * t_s * share, f"le={bound}")
    record = Record.open(builder.write(tmp_path).root)
    signals = {signal.title: signal for signal in limits.limits(record, frames.read(record)).signals}
    assert words(signals["Database write time, p99 per 5 s (bucket bound)"].highest) == "50 ms"


def test_what_was_not_tested_is_listed(record: Record, quiet: Record) -> None:
    gaps = [f"{gap.what}: {gap.why}" for gap in untested.untested(record, verdicts.ready(record))]
    assert "Bots: none came in this scenario" in gaps
    assert "No seat change is missed: the platform does not show: feed" in gaps
    assert "Reconnect recovery, p95: there is an objective but no sample: unknown, not met" in gaps
    assert "redis-down: recovers: no request in the window" in gaps
    assert not any(gap.startswith("Loss of") for gap in gaps)
    losses = [gap.what for gap in untested.untested(quiet, verdicts.ready(quiet)) if gap.what.startswith("Loss of")]
    assert losses == ["Loss of redis", "Loss of postgres", "Loss of payments", "Loss of feed"]


def test_of_a_platform_of_ones_own_its_edges_and_parts_could_have_been_broken(tmp_path: Path) -> None:
    builder = RunBuilder(fans=12)
    scenario = msgspec.to_builtins(builder.scenario())
    own = {"edges": {"redis": {}, "db": {}}, "parts": {"web": {}}}
    record = Record.open(builder.changed(scenario={**scenario, "platform": own}).write(tmp_path).root)
    gaps = untested.untested(record, verdicts.ready(record))
    broken = {fault.component for fault in record.faults.faults}
    losses = [gap.what for gap in gaps if gap.what.startswith("Loss of")]
    assert losses == [f"Loss of {name}" for name in ("redis", "db", "web") if name not in broken]


def test_how_near_the_nearest_limit_is_stands_in_round_figures(quiet: Record) -> None:
    summary = words(limits.limits(quiet, frames.read(quiet)).summary)
    assert summary.startswith("Nothing came to 80 % of a known limit. Nearest: ")
