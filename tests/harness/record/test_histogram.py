"""Requests counted per second read back as the rows they were, to within the precision of their buckets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.histogram import bucket_us, expand
from harness.record.schema import TABLES
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow

T0 = ReleaseInstant(100.0, 0.0)
TIMES_S = st.floats(0.0, 100.0)


@given(st.integers(-5, 10**10))
def test_a_bucket_holds_its_value_and_is_at_most_one_in_128_wide(value_us: int) -> None:
    largest = bucket_us(value_us)
    assert max(value_us, 0) <= largest <= max(value_us, 0) * (1 + 1 / 128)
    assert bucket_us(largest) == largest


def request(start_s: float, waited_s: float, service_s: float, status: int = 200) -> RequestRow:
    outcome = "ok" if status == 200 else "unknown"
    intended_s = 100.0 + start_s - waited_s
    end_s = 100.0 + start_s + service_s
    return RequestRow(
        7, 1, "fan", "fan-1", "join", "", "POST", intended_s, 100.0 + start_s, None, end_s, status, outcome, "", 3, 1, 5
    )


@given(st.lists(st.tuples(st.floats(0.0, 20.0), TIMES_S, TIMES_S, st.sampled_from([200, 0])), min_size=1, max_size=60))
def test_counted_requests_read_back_as_rows(asked: list[tuple[float, float, float, int]]) -> None:
    counted = Recorder(2)
    counted.condense(T0.monotonic_s)
    for one in asked:
        counted.request(request(*one))
    cells = pa.Table.from_batches([counted.take(T0)["histograms"]])
    rows = expand(cells)
    assert rows.schema.equals(TABLES["requests"])
    assert rows.num_rows == len(asked) == counted.samples_recorded
    service_s = np.sort(rows["t_end_s"].to_numpy() - rows["t_start_s"].to_numpy())
    response_s = np.sort(rows["t_end_s"].to_numpy() - rows["t_intended_s"].to_numpy())
    assert service_s == pytest.approx(np.sort([s for _, _, s, _ in asked]), rel=1 / 100, abs=1e-5)
    assert response_s == pytest.approx(np.sort([w + s for _, w, s, _ in asked]), rel=1 / 100, abs=1e-5)
    assert (rows["actor"].unique().to_pylist(), rows["op"].null_count) == ([""], len(asked))
    assert rows["t_first_byte_s"].null_count == sum(1 for *_, status in asked if status == 0)
    seconds = sorted(int(start_s) for start_s, *_ in asked)
    assert np.sort(np.floor(rows["t_start_s"].to_numpy())) == pytest.approx(seconds, abs=1)


def test_too_many_rows_waiting_are_condensed_from_then_on_and_nothing_is_counted_twice() -> None:
    recorder = Recorder(1, rows_waiting_max=10)
    for _ in range(25):
        recorder.request(request(1.0, 0.0, 0.02))
    batches = recorder.take(T0)
    assert batches["requests"].num_rows == 10
    assert sum(batches["histograms"]["count"].to_pylist()) == 15
    assert recorder.samples_recorded == 25
    assert recorder.take(T0) == {}
