"""Sizing is arithmetic: what is short decides. One real calibration shows that the figures are there."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.calibration import capacity
from harness.swarm.calibration.capacity import Calibration, Machine, size

MEASURED = Calibration(
    requests_per_s=40_000,
    fans_per_s=3_000,
    send_us=20,
    armed_fan_bytes=10_000,
    held_fan_bytes=20_000,
    worker_bytes=150_000_000,
)
PLENTY = Machine(cores=64, memory_bytes=10**12, fds_per_process=10**7, ports=10**7)


@pytest.mark.parametrize(
    ("change", "limiting"),
    [
        ({"cores": 1}, "cores"),
        ({"memory_bytes": 2 * 10**9}, "memory"),
        ({"ports": 20_000}, "ports"),
        ({"fds_per_process": 1_000}, "file descriptors"),
    ],
)
def test_what_is_short_is_named_and_asks_for_machines(change: dict[str, int], limiting: str) -> None:
    sizing = size(200_000, 5, MEASURED, msgspec.structs.replace(PLENTY, **change))
    assert sizing.limiting == limiting
    assert sizing.machines > 1
    assert sizing.machines == math.ceil(max(need.machines for need in sizing.needs))


def test_a_small_load_is_one_worker_here_and_one_command() -> None:
    sizing = size(500, 10, MEASURED, PLENTY)
    assert (sizing.workers, sizing.machines) == (1, 1)
    assert sizing.commands == ("gatecrash rehearse --users 500 --workers 1 --set load.release_window_s=10",)


def test_the_commands_start_all_workers_and_no_more() -> None:
    sizing = size(200_000, 30, MEASURED, msgspec.structs.replace(PLENTY, cores=2, ports=28_000))
    first, *others = sizing.commands
    assert len(others) == sizing.machines - 1
    counts = [int(command.split("--workers ")[1].split()[0]) for command in sizing.commands]
    assert sum(counts) == sizing.workers
    assert f"--remote-workers {sum(counts[1:])}" in first
    assert all(command.startswith("gatecrash worker --master HOST") for command in others)


def test_machines_that_start_the_same_are_told_once() -> None:
    sizing = size(200_000, 30, MEASURED, msgspec.structs.replace(PLENTY, cores=2, ports=28_000))
    lines = [line.strip() for line in capacity.in_words(sizing) if "gatecrash worker" in line]
    assert len(lines) == len(set(sizing.commands[1:])) <= 2
    assert sum(int(line.split()[1]) for line in lines) == sizing.machines - 1


@given(users=st.integers(1, 10**6), window_s=st.floats(0.1, 600), more=st.integers(1, 10**6))
def test_more_fans_never_take_less(users: int, window_s: float, more: int) -> None:
    machine = Machine(cores=2, memory_bytes=8 * 10**9, fds_per_process=20_000, ports=28_000)
    small, large = (size(count, window_s, MEASURED, machine) for count in (users, users + more))
    assert small.machines <= large.machines
    assert small.workers <= large.workers
    assert small.machines <= small.workers <= small.machines * machine.cores


def test_this_machine_can_be_calibrated() -> None:
    measured = capacity.calibrate()
    assert measured.requests_per_s > measured.fans_per_s > 10
    assert measured.worker_bytes > 10**7
    assert 0 < measured.send_us < 100_000
    assert 0 <= measured.armed_fan_bytes <= measured.held_fan_bytes < 10**6
    words = capacity.in_words(size(10_000, 10, measured, capacity.this_machine()))
    assert "limited by" in words[0]
    assert any(line.strip().startswith("gatecrash rehearse ") for line in words)
