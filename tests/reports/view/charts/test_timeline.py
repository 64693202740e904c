from __future__ import annotations

import numpy as np
import pytest

from harness.record.reader import Record
from harness.sli import step_latency_ms
from reports.view import frames
from reports.view.charts import timeline
from reports.view.charts.timeline import Span, spans
from reports.view.judged import indicators


def test_every_request_before_settling_is_counted_once(record: Record) -> None:
    data = timeline.timeline(record, frames.read(record))
    requests = record.table("requests").to_pandas()
    sent = requests[(requests["step"] != "settle") & (requests["t_start_s"] >= -1)]
    assert data is not None
    assert sum(counts.sum() for counts in data.outcomes.values()) == len(sent)


def test_buyers_by_stage_add_up_to_those_who_joined(record: Record) -> None:
    data = timeline.timeline(record, frames.read(record))
    assert data is not None
    last = {name: values[-1] for name, values in data.stages.items()}
    assert sum(last.values()) == 60
    assert all((values >= 0).all() for values in data.stages.values())


def test_faults_run_from_effective_to_healed(record: Record) -> None:
    found = [(w.name, w.start_s, w.end_s) for w in timeline.windows(record)]
    assert found[0] == ("redis-down", pytest.approx(6.1), pytest.approx(10.2))


def test_breakers_have_spans_without_holes(record: Record) -> None:
    data = timeline.timeline(record, frames.read(record))
    assert data is not None
    assert [breaker.name for breaker in data.breakers] == ["db", "payments", "redis"]
    for breaker in data.breakers:
        pairs = zip(breaker.spans, breaker.spans[1:], strict=False)
        assert all(one.end_s == other.start_s for one, other in pairs)
        assert "open" in {span.state for span in breaker.spans}


def test_spans_join_equal_states() -> None:
    found = spans([(0.0, "ok"), (1.0, "ok"), (2.0, "refused"), (3.0, "ok")])
    assert found == (Span(0.0, 2.0, "ok"), Span(2.0, 3.0, "refused"), Span(3.0, 3.0, "ok"))


def test_lanes_are_unknown_where_nothing_was_sent(record: Record) -> None:
    data = timeline.timeline(record, frames.read(record))
    assert data is not None
    join = data.lanes[0]
    assert join.title == "Join"
    assert np.isfinite(join.p99_ms[1])
    assert np.isnan(join.p99_ms[10:]).all()


def test_an_empty_record_has_neither_timeline_nor_release(empty: Record) -> None:
    tables = frames.read(empty)
    assert timeline.timeline(empty, tables) is None
    assert timeline.release(empty, tables) is None


def test_times_by_step_agree_with_the_indicators(record: Record) -> None:
    rows = {row.title: row for row in indicators.timings(frames.read(record), None)}
    for step, title in (("hold", "Hold"), ("pay", "Pay"), ("seat_map", "Seat map")):
        for quantile, written in zip((0.5, 0.95, 0.99), rows[title].response, strict=True):
            value = step_latency_ms(record.table("requests"), step, quantile).value
            assert value is not None
            assert float(written.replace(",", "")) == pytest.approx(value, rel=0.01)
