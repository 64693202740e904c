"""A platform's own metrics feed our indicators where the scenario says so, and no others do."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pyarrow as pa
import pytest

from harness.record.reader import Record
from harness.scenario import IndicatorSource, OwnPlatform
from harness.sli import INDICATORS
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty


def recorded(builder: RunBuilder, indicators: dict[str, IndicatorSource]) -> Record:
    record = builder.record()
    platform = msgspec.to_builtins(OwnPlatform(indicators=indicators))
    run = msgspec.structs.replace(record.run, scenario={**record.run.scenario, "platform": platform})
    return replace(record, run=run)


@pytest.mark.parametrize(
    ("source", "most"),
    [
        (IndicatorSource(metric="shop_waiting"), 12.0),
        (IndicatorSource(metric="shop_waiting", source="web"), 9.0),
        (IndicatorSource(metric="shop_waiting", labels={"event": "2"}), 4.0),
        (IndicatorSource(metric="nobody_has_it"), None),
    ],
)
def test_a_gauge_is_taken_from_its_page_and_labels(source: IndicatorSource, most: float | None) -> None:
    builder = empty()
    for t_s in (0.0, 0.5):
        builder.metric(t_s, "web", "shop_waiting", 5, "event=1,kind=a")
        builder.metric(t_s, "web", "shop_waiting", 4, "event=2,kind=a")
        builder.metric(t_s, "other", "shop_waiting", 3, "event=1,kind=a")
        builder.metric(t_s, "web", "shop_paused", 77)
    seen = Observations(recorded(builder, {"queue_depth_max": source}))
    assert INDICATORS["queue_depth_max"].measure(seen).value == most


def test_a_histogram_brings_its_buckets() -> None:
    builder = empty()
    for t_s, fast, slow in ((0.0, 0, 0), (0.5, 100, 100)):
        builder.metric(t_s, "web", "shop_sql_seconds_bucket", fast, "le=0.01")
        builder.metric(t_s, "web", "shop_sql_seconds_bucket", slow, "le=+Inf")
    indicators = {"db_write_latency_p99_ms": IndicatorSource(metric="shop_sql_seconds")}
    measured = INDICATORS["db_write_latency_p99_ms"].measure(Observations(recorded(builder, indicators)))
    assert measured.samples == 100
    assert measured.value == pytest.approx(9.9)


def test_what_is_not_mapped_stays_as_it_is() -> None:
    builder = empty()
    builder.metric(0.0, "web", "shop_waiting", 5)
    record = recorded(builder, {})
    metrics: pa.Table = Observations(record).metrics
    assert metrics.equals(record.table("metrics"))
