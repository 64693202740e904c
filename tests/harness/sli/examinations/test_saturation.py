"""How near each resource came to its limit, against figures worked out by hand."""

from __future__ import annotations

import pytest

from harness.record.schema import MACHINE_BUSY, MACHINE_CORES, OWN_SOURCE
from harness.record.verdict import Figure
from harness.sli.examinations.saturation import saturation
from harness.sli.measured import Observations
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty

CPU, BUSY, SIZE = "process_cpu_seconds_total", "target_db_pool_busy_seconds_total", "target_db_pool_connections"


def figures(builder: RunBuilder) -> list[Figure]:
    return list(saturation(Observations(builder.record())))


def grows(builder: RunBuilder, source: str, name: str, per_s: list[float], labels: str = "") -> None:
    """A counter, scraped twice a second: `per_s` of each half second."""
    total = 100.0
    for at, rate in enumerate([0.0, *per_s]):
        total += rate / 2
        builder.metric(at / 2, source, name, total, labels)


def test_the_busiest_three_seconds_count_and_the_highest_comes_first() -> None:
    builder = empty()
    grows(builder, "worker", CPU, [0.2] * 20)
    grows(builder, "booking", CPU, [0.1] * 8 + [0.9] * 6 + [0.1] * 6)
    found = figures(builder)
    assert [(one.name, one.value) for one in found] == [
        ("cpu_booking", pytest.approx(0.9)),
        ("cpu_worker", pytest.approx(0.2)),
    ]
    assert found[0].note == "in the 3 s until T+7.0 s"


def test_a_short_peak_does_not_count_as_saturation() -> None:
    builder = empty()
    grows(builder, "booking", CPU, [0.0] * 8 + [1.0] * 2 + [0.0] * 8)
    assert figures(builder)[0].value == pytest.approx(1 / 3)


def test_the_machine_is_measured_by_all_of_its_cores() -> None:
    builder = empty()
    grows(builder, OWN_SOURCE, MACHINE_BUSY, [3.0] * 10)
    builder.metric(5.0, OWN_SOURCE, MACHINE_CORES, 4.0)
    [machine] = figures(builder)
    assert (machine.name, machine.value) == ("machine", pytest.approx(0.75))
    assert "all 4 cores" in machine.title


def test_a_pool_is_measured_by_its_own_limit() -> None:
    builder = empty()
    for shard, per_s in (("0", 1.9), ("1", 0.4)):
        labels = f"server=primary,shard={shard}"
        grows(builder, "booking", BUSY, [per_s] * 10, labels)
        builder.metric(5.0, "booking", SIZE, 2.0, labels)
    found = figures(builder)
    assert [(one.title, one.value) for one in found] == [
        ("Connections of booking to the primary, shard 0, all 2", pytest.approx(0.95)),
        ("Connections of booking to the primary, shard 1, all 2", pytest.approx(0.2)),
    ]


def test_a_process_that_was_started_again_counts_from_zero() -> None:
    builder = empty()
    for at, total in enumerate((7.0, 7.5, 8.0, 0.1, 0.6, 1.1, 1.6)):
        builder.metric(float(at), "booking", CPU, total)
    assert figures(builder)[0].value == pytest.approx(0.5)


def test_what_was_seen_for_too_short_a_time_is_not_told() -> None:
    builder = empty()
    grows(builder, "booking", CPU, [0.9] * 3)
    assert [(one.value, one.note) for one in figures(builder)] == [(None, "seen for less than 3 s")]
