"""A run whose requests are mostly summed up, beside the same run in rows: indicators, expectations, stories."""

from __future__ import annotations

import numpy as np
import pytest

from chaos.proof.expectations import observe
from chaos.proof.observations import Window
from chaos.specification.expected import RequestShare, ResponseTime
from harness.causes.story import story
from harness.record.histogram import MIDDLE_S, expand
from harness.record.schema import REQUESTS
from harness.sli.indicators import measure
from harness.sli.measured import Observations
from harness.sli.resampling import contrast
from harness.sli.samples import Samples
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import RequestRow
from reports.view.frames import read
from reports.view.journeys.journey import funnel
from tests.builders import RunBuilder, whole_rows

T0 = ReleaseInstant(0.0, 0.0)
FANS, WHOLE = 80, frozenset(range(0, 80, 4))
OF_USERS = {"time_to_first_position_p95_s"}
"""Measured for the users alone who are recorded request by request."""


def summed(builder: RunBuilder) -> RunBuilder:
    """The same run, in which the requests of three quarters of the users are summed up."""
    recorder = Recorder(0, whole_users={"fan": WHOLE, "spectator": frozenset()})
    for row in whole_rows("requests", builder.tables["requests"]):
        recorder.request(RequestRow(**{name: row.get(name) for name in RequestRow.__struct_fields__}))
    batches = recorder.take(T0)
    whole = builder.tables["requests"] = batches["requests"].to_pylist()
    assert 0 < len(whole) < recorder.samples_recorded / 2
    builder.tables["requests"] = [*whole, *expand(batches["histograms"]).to_pylist()]
    assert len(builder.tables["requests"]) == recorder.samples_recorded
    return builder


def test_each_indicator_is_that_of_the_rows_within_a_bucket() -> None:
    rows = {one.name: one for one in measure(RunBuilder(fans=FANS).record())}
    sums = {one.name: one for one in measure(summed(RunBuilder(fans=FANS)).record())}
    assert list(rows) == list(sums)
    for name in rows.keys() - OF_USERS:
        if rows[name].value is None:
            assert sums[name].value is None
            continue
        assert sums[name].samples == rows[name].samples, name
        assert sums[name].value == pytest.approx(rows[name].value, rel=1 / 128, abs=0.002), name
        assert float(sums[name].value or 0) >= float(rows[name].value or 0) - 0.002, name


def test_the_first_position_is_that_of_the_users_with_rows_and_says_so() -> None:
    [found] = [one for one in measure(summed(RunBuilder(fans=FANS)).record()) if one.name in OF_USERS]
    assert found.samples == len(WHOLE)
    assert "of the 20 users whose requests are not summed up" in found.note


def test_every_fan_counts() -> None:
    rows, sums = Observations(RunBuilder(fans=FANS).record()), Observations(summed(RunBuilder(fans=FANS)).record())
    assert rows.fans == sums.fans == FANS


def test_the_funnel_has_the_same_fans() -> None:
    reached = []
    for builder in (RunBuilder(fans=FANS), summed(RunBuilder(fans=FANS))):
        record = builder.record()
        reached.append([(row.title, row.reached) for row in funnel(record, read(record))])
    assert reached[0] == reached[1]


def test_a_story_says_that_its_requests_are_not_told() -> None:
    seen = Observations(summed(RunBuilder(fans=FANS)).record())
    assert "summed up" in story(seen, "1", ()).sum_up
    assert "summed up" not in story(seen, "4", ()).sum_up


def expectation_of(builder: RunBuilder, window: Window, wanted: RequestShare | ResponseTime) -> str:
    return observe(wanted, window, builder.record(), lambda: pytest.fail("the feed is not asked")).status


def many(t_s: list[float], outcome: str = "ok", took_s: float = 0.1) -> list[dict[str, object]]:
    """Summed requests of the seconds of these instants."""
    blank: dict[str, object] = dict.fromkeys(REQUESTS.names)
    return [
        blank | {
            "worker": 0, "seq": -1, "user": -1, "kind": "fan", "actor": "", "step": "hold", "page": "",
            "method": "POST", "t_intended_s": at_s // 1 + MIDDLE_S, "t_start_s": at_s // 1 + MIDDLE_S,
            "t_end_s": at_s // 1 + MIDDLE_S + took_s, "status": 200, "outcome": outcome, "error": "",
            "response_bytes": 0, "attempt": 1,
        }
        for at_s in t_s
    ]  # fmt: skip


SHARE = RequestShare(name="s", step="hold", outcome=("ok",), at_least=0.9, samples_min=1)


def test_an_expectation_is_decided_where_the_instant_within_the_second_does_not_matter() -> None:
    builder = RunBuilder(fans=4)
    builder.tables["requests"] = many([3.0, 4.0, 5.0, 6.0] * 5)
    assert expectation_of(builder, Window(3.2, 3.3, 6.8), SHARE) == "met"
    slow = ResponseTime(name="r", step="hold", quantile=0.5, at_most_ms=50, samples_min=1)
    assert expectation_of(builder, Window(3.2, 3.3, 6.8), slow) == "missed"


def test_an_expectation_is_unknown_where_it_depends_on_the_instant_within_the_second() -> None:
    builder = RunBuilder(fans=4)
    builder.tables["requests"] = many([4.0] * 9) + many([6.0] * 9, "fail")
    assert expectation_of(builder, Window(3.5, 3.6, 6.2), SHARE) == "unknown"
    assert expectation_of(builder, Window(3.5, 3.6, 5.9), SHARE) == "met"
    assert expectation_of(builder, Window(3.5, 3.6, 7.5), SHARE) == "missed"


def test_requests_with_rows_decide_what_depends_on_the_instant() -> None:
    builder = RunBuilder(fans=4)
    rows = [row | {"seq": seq, "actor": "fan-1"} for seq, row in enumerate(many([4.0] * 3))]
    builder.tables["requests"] = many([4.0] * 9) + many([6.0] * 9, "fail") + rows
    assert expectation_of(builder, Window(3.5, 3.6, 6.2), SHARE) == "met"


def test_there_is_no_interval_of_observations_without_users() -> None:
    values = np.arange(400.0)
    known = Samples(np.arange(400), np.zeros(400), values, 0.5)
    nobodys = Samples(np.r_[np.arange(399), -1], np.zeros(400), values, 0.5)
    assert contrast(known, known).low is not None
    found = contrast(known, nobodys)
    assert (found.low, found.control_low) == (None, None)
    assert "summed up" in found.note
