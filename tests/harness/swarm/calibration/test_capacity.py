"""Sizing is arithmetic: what is short decides. One real calibration shows that the figures are there."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import EnvironmentProblem
from harness.scenario import Load
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


def test_of_very_many_machines_the_first_hundred_commands_are_listed_and_all_are_counted() -> None:
    sizing = size(10_000_000, 0.1, MEASURED, msgspec.structs.replace(PLENTY, cores=2))
    assert sizing.machines > 10_000
    assert len(sizing.commands) == 100
    assert sizing.commands_left_out == sizing.machines - 100
    *_, first, joining = capacity.in_words(sizing)
    assert f"on {sizing.machines - 1:,} other machines: gatecrash worker" in joining
    assert "--remote-workers" in first


@given(workers=st.integers(1, 10**6), machines=st.integers(1, 10**5))
def test_the_shares_are_all_workers_on_all_machines(workers: int, machines: int) -> None:
    shares = capacity._shares(max(workers, machines), machines)
    assert shares[0][1] == 1
    assert sum(of_machines for _, of_machines in shares) == machines
    assert sum(each * of_machines for each, of_machines in shares) == max(workers, machines)


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


ROOMY = Machine(cores=2, memory_bytes=10**12, fds_per_process=10**6, ports=10**6)


def refusal(users: int, machine: Machine, *, workers: int = 1, remote_workers: int = 0, platform: bool = False) -> str:
    with pytest.raises(EnvironmentProblem) as refused:
        capacity.require_room(
            Load(fans=users, spectators=0), machine, workers, remote_workers, carries_platform=platform
        )
    return str(refused.value)


@pytest.mark.parametrize(
    ("change", "said", "mend"),
    [
        ({"memory_bytes": 10**9}, "memory: 3.00 GB of 1.0 GB", "ask for fewer"),
        ({"ports": 28_000}, "ports: 200,000 connections to one address, 28,000 local ports", "load.source_addresses"),
        ({"fds_per_process": 20_000}, "file descriptors: 200,000 connections in 1 processes", "--workers"),
    ],
)
def test_more_than_this_machine_can_hold_is_refused_with_what_to_change(
    change: dict[str, int], said: str, mend: str
) -> None:
    text = refusal(200_000, msgspec.structs.replace(ROOMY, **change))
    assert text.startswith("200,000 users cannot be armed on this machine: ")
    assert said in text
    assert mend in text


def test_what_is_proposed_is_enough() -> None:
    short = msgspec.structs.replace(ROOMY, ports=28_000, fds_per_process=20_000)
    text = refusal(200_000, short)
    addresses = int(text.split("give this machine ")[1].split()[0])
    workers = int(text.split("--workers ")[1].split(",")[0])
    enough = msgspec.structs.replace(short, addresses=addresses)
    capacity.require_room(Load(fans=200_000, spectators=0), enough, workers, 0, carries_platform=False)


def test_only_the_own_share_counts_where_other_machines_help() -> None:
    short = msgspec.structs.replace(ROOMY, ports=100_000)
    capacity.require_room(Load(fans=200_000, spectators=0), short, 1, 1, carries_platform=False)
    assert "ports" in refusal(200_001, short, remote_workers=1)


def test_the_reference_system_takes_its_memory_too() -> None:
    short = msgspec.structs.replace(ROOMY, memory_bytes=8 * 10**9)
    capacity.require_room(Load(fans=200_000, spectators=0), short, 1, 0, carries_platform=False)
    assert "memory: 9.00 GB of 8.0 GB" in refusal(200_000, short, platform=True)
