"""Requests counted per second read back as the rows they were, to within the precision of their buckets."""

from __future__ import annotations

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.record.histogram import are_summed, bucket, bucket_us, counted, expand, largest_us
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
    assert bucket_us(largest) == largest == largest_us(np.array([bucket(value_us)], np.int16))[0]


def request(start_s: float, waited_s: float, service_s: float, status: int = 200) -> RequestRow:
    outcome = "ok" if status == 200 else "unknown"
    intended_s = 100.0 + start_s - waited_s
    end_s = 100.0 + start_s + service_s
    return RequestRow(
        7, 1, "fan", "fan-1", "join", "", "POST", intended_s, 100.0 + start_s, None, end_s, status, outcome, "", 3, 1, 5
    )


@given(st.lists(st.tuples(st.floats(0.0, 20.0), TIMES_S, TIMES_S, st.sampled_from([200, 0])), min_size=1, max_size=60))
def test_counted_requests_read_back_as_rows(asked: list[tuple[float, float, float, int]]) -> None:
    recorder = Recorder(2, whole_users={"fan": set()})
    recorder.released_at(T0.monotonic_s)
    for one in asked:
        recorder.request(request(*one))
    histograms = pa.Table.from_batches([recorder.take(T0)["histograms"]])
    rows = expand(histograms)
    assert rows.schema.equals(TABLES["requests"])
    assert rows.num_rows == len(asked) == recorder.samples_recorded == counted(histograms).sum()
    assert all(are_summed(rows).to_pylist())
    service_s = np.sort(rows["t_end_s"].to_numpy() - rows["t_start_s"].to_numpy())
    response_s = np.sort(rows["t_end_s"].to_numpy() - rows["t_intended_s"].to_numpy())
    assert service_s == pytest.approx(np.sort([s for _, _, s, _ in asked]), rel=1 / 100, abs=1e-5)
    assert response_s == pytest.approx(np.sort([w + s for _, w, s, _ in asked]), rel=1 / 100, abs=1e-5)
    assert (rows["actor"].unique().to_pylist(), rows["op"].null_count) == ([""], len(asked))
    assert rows["t_first_byte_s"].null_count == sum(1 for *_, status in asked if status == 0)
    seconds = sorted(int(start_s) for start_s, *_ in asked)
    assert np.sort(np.floor(rows["t_start_s"].to_numpy())) == pytest.approx(seconds, abs=1)


def test_users_who_are_not_whole_are_counted_and_nothing_is_counted_twice() -> None:
    recorder = Recorder(1, whole_users={"fan": {1}})
    for user, kind in ((1, "fan"), (2, "fan"), (2, "fan"), (2, "probe"), (-1, "fan"), (3, "fan")):
        recorder.request(msgspec.structs.replace(request(1.0, 0.0, 0.02), user=user, kind=kind))
    batches = recorder.take(T0)
    assert [(row["user"], row["kind"]) for row in batches["requests"].to_pylist()] == [
        (1, "fan"), (2, "probe"), (-1, "fan")
    ]  # fmt: skip
    [histogram] = batches["histograms"].to_pylist()
    assert (histogram["t_s"], histogram["count"]) == (1.0, [3])
    assert recorder.samples_recorded == 6
    assert recorder.take(T0) == {}


def test_histograms_of_a_second_that_came_in_parts_are_added_up() -> None:
    recorders = [Recorder(worker, whole_users={"fan": set()}) for worker in (1, 2)]
    parts = []
    for recorder in recorders:
        for service_s in (0.02, 0.3):
            recorder.request(request(1.2, 0.0, service_s))
            recorder.request(request(1.9, 0.5, service_s))
            parts.append(recorder.take(T0)["histograms"])
    rows = expand(pa.Table.from_batches(reversed(parts)))
    assert sorted(rows["worker"].to_pylist()) == [1] * 4 + [2] * 4
    took_s = np.sort(rows["t_end_s"].to_numpy() - rows["t_start_s"].to_numpy())
    assert took_s == pytest.approx([0.02] * 4 + [0.3] * 4, rel=1 / 100)


def test_no_histograms_are_no_requests() -> None:
    nothing = TABLES["histograms"].empty_table()
    assert (expand(nothing).num_rows, counted(nothing).sum()) == (0, 0)
