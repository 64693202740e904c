"""How many workers and machines a load takes, from a short calibration of this one. Sizing is pure arithmetic.

At most `_USABLE` is planned of each thing that runs out: cores, descriptors, memory, ports. One worker has one core.
"""

from __future__ import annotations

import math
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from typing import Final

import msgspec
import psutil

from harness.errors import EnvironmentProblem
from harness.processes.machine import cores, processes_for, workers_for
from harness.processes.managed import child_environment
from harness.processes.ports import port_range
from harness.processes.source_addresses import FILLED_FAST
from harness.scenario import Load

_USABLE: Final = 0.7
_OWN_FDS: Final = 64  # of a worker: logs, spools, its master
HELD_FAN_BYTES: Final = 15_000
"""A fan in line takes at least so much of a worker, measured; a calibration says how much on a given machine."""
PLATFORM_FAN_BYTES: Final = 30_000
"""And so much of the reference system."""
_COMMANDS_MAX: Final = 100
_P95: Final = 0.95
_AT_ONCE_S: Final = 0.05  # a position is told so soon where nobody has to wait for anything
_CALIBRATES_WITHIN_S: Final = 120.0


class PlatformCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one arrival takes of the reference system: processor time of all its processes, and of the busiest of them,
    which has one core; memory while the fan waits; memory without anybody, of all and of that process."""

    fan_us: float
    busiest_fan_us: float
    fan_bytes: float
    idle_bytes: float
    process_bytes: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What one generator process on one core can do. Rates per second of processor time.

    `fans_per_s`: whole arrivals (connect, queue page, challenge, join, stream of positions). `send_us`: one first
    request at T0. `armed_fan_bytes` before T0, `held_fan_bytes` with the stream open; `worker_bytes` without anybody.
    `platform`: what the reference system took meanwhile, where it was the one that answered.
    """

    requests_per_s: float
    fans_per_s: float
    send_us: float
    armed_fan_bytes: float
    held_fan_bytes: float
    worker_bytes: float
    platform: PlatformCost | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a machine has. `ports`: local ports for connections from one address of it to one of the platform;
    `addresses`: so many of its own."""

    cores: int
    memory_bytes: int
    fds_per_process: int
    ports: int
    addresses: int = 1


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What one resource asks for: `machines` of this kind, as a fraction. `mend`: how it becomes less."""

    resource: str
    machines: float
    why: str
    mend: str = ""


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What one machine does that has the reference system on it beside all of the load.

    `told_all_s`: after the first arrival everybody has been told a position. `first_position_p95_s`: from a fan's
    arrival on. `fds` and `ports` in use: of the busiest worker, and towards the platform.
    """

    arrivals_per_s: float
    told_all_s: float
    first_position_p95_s: float
    load_bytes: float
    platform_bytes: float
    workers: int
    fds: int
    ports: int
    addresses: int


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. `workers` over all machines; `limiting`: the resource that asks for the most.

    `commands`: one a machine, of the first machines; `commands_left_out`: of so many more.
    """

    users: int
    window_s: float
    workers: int
    machines: int
    limiting: str
    needs: tuple[Need, ...]
    release_ms: float  # how long all first sends take, workers in parallel
    calibration: Calibration
    machine: Machine
    commands: tuple[str, ...]
    commands_left_out: int = 0
    here: Carried | None = None


def size(users: int, window_s: float, calibration: Calibration, machine: Machine) -> Sizing:
    """Workers and machines for `users` fans who all arrive within `window_s`."""
    cpu_workers = users / window_s / (calibration.fans_per_s * _USABLE)
    fd_workers = users / _fds_for_users(machine, _USABLE)
    memory_bytes = users * calibration.held_fan_bytes + max(cpu_workers, fd_workers, 1.0) * calibration.worker_bytes
    per_core = f"{calibration.fans_per_s:,.0f} arrivals/s per core"
    needs = (
        Need(
            resource="cores",
            machines=cpu_workers / machine.cores,
            why=f"{users / window_s:,.0f} arrivals/s at {per_core}, {machine.cores} cores",
        ),
        *_to_hold(users, machine.cores, memory_bytes, machine, _USABLE),
    )
    machines = max(1, *(math.ceil(need.machines) for need in needs))
    workers = max(machines, math.ceil(cpu_workers), math.ceil(fd_workers))
    commands = tuple(islice(_commands(users, window_s, workers, machines), _COMMANDS_MAX))
    return Sizing(
        users=users,
        window_s=window_s,
        workers=workers,
        machines=machines,
        limiting=max(needs, key=lambda need: need.machines).resource,
        needs=needs,
        release_ms=users / workers * calibration.send_us / 1000,
        calibration=calibration,
        machine=machine,
        commands=commands,
        commands_left_out=machines - len(commands),
        here=carried(users, window_s, calibration, calibration.platform, machine) if calibration.platform else None,
    )


def carried(users: int, window_s: float, calibration: Calibration, platform: PlatformCost, machine: Machine) -> Carried:
    """The arithmetic of one machine for everything.

    A worker has one core, so has each booking process, and all share the cores there are. Who arrives faster than that
    stands in a queue of work that is done first come, first served: the last of `users` is told `users` / rate after
    the first arrival.
    """
    bookings = processes_for(users, machine.fds_per_process)
    workers = workers_for(users, machine.cores, machine.fds_per_process)
    fan_us = 1e6 / calibration.fans_per_s
    rate = min(
        workers * 1e6 / fan_us,
        bookings * 1e6 / platform.busiest_fan_us,
        machine.cores * 1e6 / (fan_us + platform.fan_us),
    )
    told_all_s = max(window_s, users / rate)
    share = math.ceil(users / workers)
    return Carried(
        arrivals_per_s=min(rate, users / window_s),
        told_all_s=told_all_s,
        first_position_p95_s=_P95 * (told_all_s - window_s) + _AT_ONCE_S,
        load_bytes=users * calibration.held_fan_bytes + workers * calibration.worker_bytes,
        platform_bytes=users * platform.fan_bytes + platform.idle_bytes + (bookings - 1) * platform.process_bytes,
        workers=workers,
        fds=share + _OWN_FDS,
        ports=math.ceil(users / bookings),
        addresses=max(1, math.ceil(users / (machine.ports * FILLED_FAST))),
    )


def _fds_for_users(machine: Machine, usable: float) -> float:
    return max(1.0, machine.fds_per_process * usable - _OWN_FDS)


def _to_hold(users: int, workers: int, memory_bytes: float, machine: Machine, usable: float) -> tuple[Need, ...]:
    """The machines that so many open connections need, by resource; `usable`: the share of a machine that is used."""
    ports = machine.ports * machine.addresses
    fds = _fds_for_users(machine, usable)
    more_addresses = math.ceil(users / (machine.ports * _USABLE))
    return (
        Need(
            resource="memory",
            machines=memory_bytes / (machine.memory_bytes * usable),
            why=f"{memory_bytes / 1e9:,.2f} GB of {machine.memory_bytes / 1e9:,.1f} GB",
            mend="stop other programs, or ask for fewer",
        ),
        Need(
            resource="ports",
            machines=users / (ports * usable),
            why=f"{users:,} connections to one address, {ports:,} local ports",
            mend=f"give this machine {more_addresses} addresses and name them in load.source_addresses",
        ),
        Need(
            resource="file descriptors",
            machines=users / (workers * fds),
            why=f"{users:,} connections in {workers} processes, {machine.fds_per_process:,} descriptors in each",
            mend=f"--workers {math.ceil(users / fds)}, or raise the hard limit (see `gatecrash doctor`)",
        ),
    )


def require_room(load: Load, machine: Machine, workers: int, remote_workers: int, *, carries_platform: bool) -> None:
    """Raises EnvironmentProblem for more users than this machine can hold at once, its share of them that is, however
    long they take to come. `carries_platform`: the reference system runs here too."""
    users = math.ceil(load.users * workers / (workers + remote_workers))
    memory_bytes = users * HELD_FAN_BYTES + (load.users * PLATFORM_FAN_BYTES if carries_platform else 0)
    if missing := [need for need in _to_hold(users, workers, memory_bytes, machine, 1.0) if need.machines > 1.0]:
        why = "; ".join(f"{need.resource}: {need.why}" for need in missing)
        raise EnvironmentProblem(
            f"{users:,} users cannot be armed on this machine: {why}",
            hint=f"{'; '.join(need.mend for need in missing)}; or add machines (see `gatecrash plan`)",
        )


def in_words(sizing: Sizing) -> tuple[str, ...]:
    """The answer for people, a line each."""
    calibration = sizing.calibration
    machines = "this machine" if sizing.machines == 1 else f"{sizing.machines} machines like this one"
    lines = [
        f"{sizing.users:,} fans within {sizing.window_s:g} s: {sizing.workers} workers on {machines}; "
        f"limited by {sizing.limiting}",
        f"measured on one core: {calibration.requests_per_s:,.0f} requests/s, {calibration.fans_per_s:,.0f} "
        f"arrivals/s, {calibration.held_fan_bytes / 1000:,.1f} kB per fan in line",
        f"at T0 the first sends take {sizing.release_ms:,.0f} ms, workers in parallel",
    ]
    lines += [
        f"  {need.resource:16} {need.machines:8.2f} machines at {_USABLE:.0%} of each   {need.why}"
        for need in sizing.needs
    ]
    if sizing.here is not None:
        lines += _here_in_words(sizing.users, sizing.here)
    lines.append("`gatecrash doctor` says how to lift each of these; start:")
    return (*lines, *_by_machine(sizing))


def _here_in_words(users: int, here: Carried) -> tuple[str, ...]:
    gigabytes = (here.load_bytes / 1e9, here.platform_bytes / 1e9)
    return (
        f"with the reference system beside it this machine takes {here.arrivals_per_s:,.0f} arrivals/s: all {users:,} "
        f"have a position after {here.told_all_s:,.0f} s, 95 % of them within {here.first_position_p95_s:,.1f} s",
        f"  then the load holds {gigabytes[0]:,.2f} GB, the platform {gigabytes[1]:,.2f} GB, a worker {here.fds:,} "
        f"descriptors, and {here.ports:,} ports of {here.addresses} addresses are taken",
    )


def _by_machine(sizing: Sizing) -> Iterator[str]:
    """Each command once, with how many machines it is for; HOST stands for an address of the first."""
    yield f"  {sizing.commands[0]}"
    for workers, machines in _shares(sizing.workers, sizing.machines)[1:]:
        yield f"  on {machines:,} other machine{'s' if machines > 1 else ''}: {_joining(workers)}"


def this_machine(addresses: int = 1) -> Machine:
    """The machine that this runs on, with so many addresses for its load. Memory and descriptors: what can be had
    now."""
    low, high = port_range()
    return Machine(
        cores=cores(),
        memory_bytes=int(psutil.virtual_memory().available),
        fds_per_process=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        ports=high - low + 1,
        addresses=addresses,
    )


def calibrate(booking: str = "", event: str = "", pids: Sequence[int] = ()) -> Calibration:
    """Measure this machine for a few seconds. Raises EnvironmentProblem when that fails.

    `booking`: the reference system to measure with, its `event`, and its processes; "": a server that does next to
    nothing.
    """
    command = [sys.executable, "-m", "harness.swarm.calibration.calibrate"]
    if booking:
        command += ["--booking", booking, "--event", event, *(f"--pid={pid}" for pid in pids)]
    try:
        done = subprocess.run(
            command,
            env=child_environment({}),
            capture_output=True,
            text=True,
            timeout=_CALIBRATES_WITHIN_S,
            check=True,
        )
        return msgspec.json.decode(done.stdout, type=Calibration)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or "").strip().splitlines() or [f"exit code {error.returncode}"]
        raise EnvironmentProblem(f"the calibration failed: {said[-1]}", hint="see `gatecrash doctor`") from error
    except (subprocess.TimeoutExpired, msgspec.DecodeError) as error:
        raise EnvironmentProblem(f"the calibration failed: {error}", hint="see `gatecrash doctor`") from error


def _shares(workers: int, machines: int) -> tuple[tuple[int, int], ...]:
    """The workers of a machine, and of how many machines: of the first one alone, then of the others."""
    each, more = divmod(workers, machines)
    first = each + (more > 0)
    others = ((each + 1, max(0, more - 1)), (each, machines - max(1, more)))
    return ((first, 1), *(share for share in others if share[1]))


def _commands(users: int, window_s: float, workers: int, machines: int) -> Iterator[str]:
    """What to type where: on the first machine, then on each other."""
    (first, _), *others = _shares(workers, machines)
    rehearse = f"gatecrash rehearse --users {users} --workers {first} --set load.release_window_s={window_s:g}"
    yield f"{rehearse} --remote-workers {workers - first} --listen HOST" if others else rehearse
    for count, of_machines in others:
        yield from repeat(_joining(count), of_machines)


def _joining(workers: int) -> str:
    return f"gatecrash worker --master HOST --key KEY --workers {workers}"
