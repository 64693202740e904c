"""What one machine carries that has the platform and the load on it: the busiest of them decides."""

from __future__ import annotations

import msgspec
import pytest

from harness.swarm.calibration.capacity import Calibration, Machine, PlatformCost, carried, in_words, size

PLATFORM = PlatformCost(fan_us=600, busiest_fan_us=500, fan_bytes=30_000, idle_bytes=10**9, process_bytes=10**8)
LOAD = Calibration(
    requests_per_s=40_000,
    fans_per_s=5_000,  # 200 µs each
    send_us=20,
    armed_fan_bytes=10_000,
    held_fan_bytes=15_000,
    worker_bytes=150_000_000,
    platform=PLATFORM,
)
MACHINE = Machine(cores=2, memory_bytes=24 * 10**9, fds_per_process=10**6, ports=28_000)


@pytest.mark.parametrize(
    ("cores", "fans_per_s", "platform", "rate"),
    [
        (2, 5_000, PLATFORM, 2_000.0),  # one booking process has one core
        (2, 1_000, PLATFORM, 1_000.0),  # and so has one worker
        (2, 2_000, msgspec.structs.replace(PLATFORM, fan_us=1_500), 1_000.0),  # two cores for all
        (4, 1_000, PLATFORM, 2_000.0),  # three workers share what one could not do
    ],
)
def test_what_has_the_least_room_sets_the_rate(
    cores: int, fans_per_s: float, platform: PlatformCost, rate: float
) -> None:
    machine = msgspec.structs.replace(MACHINE, cores=cores)
    load = msgspec.structs.replace(LOAD, fans_per_s=fans_per_s)
    here = carried(200_000, 30, load, platform, machine)
    assert here.arrivals_per_s == pytest.approx(rate)
    assert here.told_all_s == pytest.approx(200_000 / rate)


def test_a_crowd_that_fits_is_told_at_once() -> None:
    here = carried(10_000, 30, LOAD, PLATFORM, MACHINE)
    assert here.arrivals_per_s == pytest.approx(10_000 / 30)
    assert here.told_all_s == 30
    assert here.first_position_p95_s < 0.1


def test_a_crowd_that_does_not_waits_for_what_is_left_to_do() -> None:
    here = carried(200_000, 30, LOAD, PLATFORM, MACHINE)
    assert here.first_position_p95_s == pytest.approx(0.95 * 70, abs=0.1)
    assert here.load_bytes == pytest.approx(3.15e9)
    assert here.platform_bytes == pytest.approx(7e9)
    assert here.ports == 200_000
    assert here.addresses == 18


def test_where_one_process_may_not_have_all_connections_several_share_them() -> None:
    short = msgspec.structs.replace(MACHINE, fds_per_process=20_000)
    here = carried(200_000, 30, LOAD, PLATFORM, short)
    assert here.workers == 13
    assert here.fds < 0.8 * 20_000
    assert here.ports == 15_385
    assert here.arrivals_per_s == pytest.approx(2_500)  # two cores for all: no single process is the narrowest
    assert here.platform_bytes == pytest.approx(7e9 + 12e8)


def test_only_a_calibration_with_the_platform_says_what_one_machine_carries() -> None:
    words = "\n".join(in_words(size(200_000, 30, LOAD, MACHINE)))
    assert "with the reference system beside it this machine takes 2,000 arrivals/s: all 200,000" in words
    alone = msgspec.structs.replace(LOAD, platform=None)
    assert size(200_000, 30, alone, MACHINE).here is None
