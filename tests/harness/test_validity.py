"""The load generator against its limits, at and just beyond each."""

from __future__ import annotations

import msgspec
import pytest

from harness.record.schema import LoadSummary
from harness.record.verdict import Validity
from harness.scenario import GeneratorLimits
from harness.validity import Health, health, judge_generator
from tests.builders import RunBuilder

LIMITS = GeneratorLimits()
SOUND = Health(loop_lag_ms_p99=3.0, cpu_percent_max=40.0, fds_ratio_max=0.1)


@pytest.fixture
def load() -> LoadSummary:
    load = RunBuilder(fans=1000, spectators=0, faulty=False, admission_rate_per_s=100).run.load
    return msgspec.structs.replace(load, requests_sent=10_000, samples_recorded=10_000)


@pytest.mark.parametrize(
    ("field", "value", "validity"),
    [
        ("loop_lag_ms_p99", 100.0, Validity.VALID),
        ("loop_lag_ms_p99", 100.1, Validity.DEGRADED),
        ("loop_lag_ms_p99", 1000.1, Validity.INVALID),
        ("cpu_percent_max", 95.0, Validity.VALID),
        ("cpu_percent_max", 96.0, Validity.DEGRADED),
        ("cpu_percent_max", 101.1, Validity.INVALID),
        ("fds_ratio_max", 0.8, Validity.VALID),
        ("fds_ratio_max", 0.81, Validity.DEGRADED),
        ("fds_ratio_max", 0.96, Validity.INVALID),
        ("ports_ratio_max", 0.8, Validity.VALID),
        ("ports_ratio_max", 0.81, Validity.DEGRADED),
        ("ports_ratio_max", 0.96, Validity.INVALID),
    ],
)
def test_health_against_its_limits(load: LoadSummary, field: str, value: float, validity: Validity) -> None:
    result = judge_generator(load, msgspec.structs.replace(SOUND, **{field: value}), LIMITS)
    assert result.validity is validity
    assert len(result.reasons) == (0 if validity is Validity.VALID else 1)


@pytest.mark.parametrize(
    ("field", "value", "validity"),
    [
        ("skew_ms_max", 500.0, Validity.VALID),
        ("skew_ms_max", 501.0, Validity.DEGRADED),
        ("skew_ms_max", 2001.0, Validity.INVALID),
        ("users_released", 999, Validity.VALID),
        ("users_released", 998, Validity.DEGRADED),
        ("users_released", 979, Validity.INVALID),
        ("samples_recorded", 9_999, Validity.DEGRADED),
        ("samples_recorded", 9_899, Validity.INVALID),
        ("exhausted", 1, Validity.DEGRADED),
        ("exhausted", 101, Validity.INVALID),
    ],
)
def test_delivery_against_its_limits(load: LoadSummary, field: str, value: float, validity: Validity) -> None:
    assert judge_generator(msgspec.structs.replace(load, **{field: value}), SOUND, LIMITS).validity is validity


def test_reasons_are_said_in_words(load: LoadSummary) -> None:
    result = judge_generator(load, msgspec.structs.replace(SOUND, loop_lag_ms_p99=250.0), LIMITS)
    assert result.reasons == ("event-loop lag p99 is 250 ms, above 100 ms",)


def test_a_lost_worker_or_an_unwatched_generator_is_invalid(load: LoadSummary) -> None:
    lost = msgspec.structs.replace(load, workers=(msgspec.structs.replace(load.workers[0], lost=True),))
    assert judge_generator(lost, SOUND, LIMITS).reasons == ("worker 0 was lost",)
    assert judge_generator(load, Health(None, None, None), LIMITS).validity is Validity.INVALID


def test_only_the_run_itself_counts_and_one_busy_second_does_not_decide() -> None:
    builder = RunBuilder(fans=3)
    rows = builder.tables["generator"]
    for row in rows:
        row["loop_lag_ms_p99"] = 999.0 if float(str(row["t_s"])) < 0 else 3.0
    rows[2]["cpu_percent"] = 100.0  # the second of the release
    rows[20] |= {"fds": 3000}
    found = health(builder.record().table("generator"), builder.duration_s)
    assert found.loop_lag_ms_p99 == 3.0
    assert found.cpu_percent_max == pytest.approx(60.0)
    assert found.fds_ratio_max == pytest.approx(3000 / 4096)


@pytest.mark.parametrize(
    ("uncertainty_ms", "validity"), [(100.0, Validity.VALID), (101.0, Validity.DEGRADED), (501.0, Validity.INVALID)]
)
def test_clocks_that_hardly_agree_are_no_instrument(
    load: LoadSummary, uncertainty_ms: float, validity: Validity
) -> None:
    worker = msgspec.structs.replace(load.workers[0], clock_uncertainty_ms=uncertainty_ms)
    assert judge_generator(msgspec.structs.replace(load, workers=(worker,)), SOUND, LIMITS).validity is validity


def test_workers_of_one_host_share_its_ports_and_those_of_others_do_not(load: LoadSummary) -> None:
    builder = RunBuilder(fans=3)
    second = dict(builder.tables["generator"][-1]) | {"ports": 300, "ports_limit": 1000, "t_s": 5.0}
    builder.tables["generator"] = [second | {"worker": 1}, second | {"worker": 2, "t_s": 5.4}]
    rows = builder.record().table("generator")
    near = [msgspec.structs.replace(load.workers[0], worker=number, host="a") for number in (1, 2)]
    apart = [near[0], msgspec.structs.replace(near[1], host="b")]
    assert health(rows, builder.duration_s, near).ports_ratio_max == pytest.approx(0.6)
    assert health(rows, builder.duration_s, apart).ports_ratio_max == pytest.approx(0.3)


def test_the_verdict_has_every_workers_skew_and_clock(load: LoadSummary) -> None:
    result = judge_generator(msgspec.structs.replace(load, skew_ms_min=0.2), SOUND, LIMITS)
    assert result.by_worker == load.workers
    assert result.release_skew_ms.first == 0.2
