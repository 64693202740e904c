"""The load generator against its limits, at and just beyond each."""

from __future__ import annotations

import msgspec
import pytest

from harness.judging.overstatement import Doubt
from harness.judging.validity import Health, health, judge_generator
from harness.record.schema import SCRAPE_LATE, LoadSummary
from harness.record.verdict import Overstatement, Validity
from harness.scenario import GeneratorLimits
from tests.builders import RunBuilder

LIMITS = GeneratorLimits()
SOUND = Health(loop_lag_ms_p99=3.0, cpu_percent_max=40.0, fds_ratio_max=0.1)


@pytest.fixture(scope="module")
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


def pulse(*rows: tuple[int, float, float], duration_s: float = 20.0) -> Health:
    """Health from rows of (worker, t_s, lag_ms_max), of the workers that have any."""
    builder = RunBuilder(fans=3)
    common = dict(builder.tables["generator"][0])
    builder.tables["generator"] = [
        common | {"worker": worker, "t_s": t_s, "loop_lag_ms_max": lag_ms} for worker, t_s, lag_ms in rows
    ]
    return health(builder.record().table("generator"), duration_s)


def whole(worker: int, *, but: tuple[int, int] = (0, 0)) -> list[tuple[int, float, float]]:
    """A row each second of 20, without those between."""
    return [(worker, float(t_s), 2.0) for t_s in range(-1, 21) if not but[0] < t_s < but[1]]


def test_a_pulse_without_a_gap_misses_nothing() -> None:
    found = pulse(*whole(1))
    assert (found.stall_s_max, found.missing_ratio) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("rows", "stall_s"),
    [
        (whole(1, but=(4, 15)), 10.0),  # the row that ends a stop of ten seconds is ten seconds late
        ([(1, t_s, 9_950.0 if t_s == 15 else 2.0) for _, t_s, _ in whole(1, but=(4, 15))], 10.0),
        ([*whole(1), (1, 9.5, 10_000.0)], 9.5),  # its lag alone, bounded by T0
        (whole(1, but=(12, 30)), 7.0),  # it never came back
        ([*whole(1), *whole(2, but=(4, 10))], 5.0),  # one of two
        ([(1, -3.0, 2.0), (1, 4.0, 2.0), *whole(1, but=(-2, 5))], 4.0),  # from before T0
    ],
)
def test_missing_seconds_of_the_pulse_count(rows: list[tuple[int, float, float]], stall_s: float) -> None:
    found = pulse(*rows)
    assert found.stall_s_max == pytest.approx(stall_s)
    assert found.missing_ratio == pytest.approx(stall_s / 20.0)


def test_a_worker_without_a_pulse_was_absent_all_run_long(load: LoadSummary) -> None:
    builder = RunBuilder(fans=3)
    workers = [msgspec.structs.replace(load.workers[0], worker=number) for number in (0, 1)]
    found = health(builder.record().table("generator"), builder.duration_s, workers)
    assert (found.stall_s_max, found.missing_ratio) == (builder.duration_s, 1.0)


@pytest.mark.parametrize(
    ("field", "value", "validity"),
    [
        ("stall_s_max", 1.0, Validity.VALID),
        ("stall_s_max", 1.1, Validity.DEGRADED),
        ("stall_s_max", 9.95, Validity.INVALID),
        ("missing_ratio", 0.06, Validity.DEGRADED),
        ("missing_ratio", 0.16, Validity.INVALID),
        ("scrape_late_s_max", 2.1, Validity.DEGRADED),
        ("scrape_late_s_max", 10.1, Validity.INVALID),
    ],
)
def test_standing_still_against_its_limits(load: LoadSummary, field: str, value: float, validity: Validity) -> None:
    result = judge_generator(load, msgspec.structs.replace(SOUND, **{field: value}), LIMITS)
    assert result.validity is validity


def test_ten_seconds_of_standing_still_are_said(load: LoadSummary) -> None:
    result = judge_generator(load, pulse(*whole(1, but=(4, 15))), LIMITS)
    assert result.validity is Validity.INVALID
    assert result.reasons[0] == "longest time in which a worker stood still is 10 s, above 2 s"


def test_a_scraper_that_was_late_or_ended_early_is_in_the_figures() -> None:
    builder = RunBuilder(fans=3)
    late = {"source": "gatecrash", "name": SCRAPE_LATE, "labels": ""}
    builder.tables["metrics"] = [late | {"t_s": t_s, "value": value} for t_s, value in ((1.0, 0.01), (12.0, 9.5))]
    record = builder.record()
    found = health(record.table("generator"), 14.0, (), record.table("metrics"))
    assert found.scrape_late_s_max == 9.5
    assert health(record.table("generator"), 25.0, (), record.table("metrics")).scrape_late_s_max == 13.0


def test_lag_that_was_measured_in_each_response_time_is_in_doubt_only_beyond_a_second(load: LoadSummary) -> None:
    measured = {"hold": Overstatement(p50=0.1, p99=180.0, samples=900)}
    lagging = msgspec.structs.replace(SOUND, loop_lag_ms_p99=250.0)
    assert judge_generator(load, lagging, LIMITS, measured).validity is Validity.VALID
    assert judge_generator(load, lagging, LIMITS).validity is Validity.DEGRADED
    standing = msgspec.structs.replace(SOUND, loop_lag_ms_p99=1000.1)
    result = judge_generator(load, standing, LIMITS, measured, [Doubt(Validity.DEGRADED, "hold is in doubt")])
    assert (result.validity, len(result.reasons)) == (Validity.INVALID, 2)
    assert result.overstatement_ms == measured
