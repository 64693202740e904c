"""The same run over three hosts and on one: the record does not tell them apart, save for who did what."""

from __future__ import annotations

import shlex
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import msgspec

from harness.stack import Addresses
from harness.swarm.calibration.capacity import Machine, size
from harness.swarm.joining.lent import to_lend
from harness.swarm.messaging.protocol import (
    Armed,
    Finished,
    Progress,
    Reach,
    Release,
    ReleaseCommand,
    Settled,
    SwarmSpec,
    Waiting,
)
from harness.swarm.messaging.run_key import RunKey
from tests.harness.swarm.calibration.test_capacity import MEASURED
from tests.harness.swarm.hosts import Host, hosts
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec
from tests.harness.swarm.test_swarm import shop

ROOT = Path(__file__).parents[4]
FANS = 30


PORTS = 15  # of one host: the plan needs three for the fans
PLAN = size(FANS, 3, MEASURED, Machine(cores=1, memory_bytes=10**10, fds_per_process=10**4, ports=PORTS))


def guest(host: Host, spec: SwarmSpec, port: int) -> subprocess.Popen[bytes]:
    """As the plan says, with what it cannot know: where, with which key, and the files of this test's platform."""
    planned = PLAN.commands[1].replace("HOST", f"{host.sees_us_at}:{port}").replace("KEY", spec.reach.key)
    _, *arguments = (*shlex.split(planned), *to_lend(spec))
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.Popen(host.command(*command), cwd=ROOT, stderr=subprocess.DEVNULL)


def record(spec: SwarmSpec, others: list[Host]) -> tuple[SwarmProcess, Finished, Settled]:
    """The whole run, with a worker on each of the other hosts."""
    with running(spec) as swarm, ExitStack() as stack:
        if others:
            port = swarm.expect(Waiting).port
            guests = [guest(host, spec, port) for host in others]
            for one in guests:
                stack.callback(one.wait)
                stack.callback(one.kill)
        _, finished, settled = swarm.to_the_end()
        if others:
            assert [one.wait(20) for one in guests] == [0] * len(others)
    return swarm, finished, settled


def deeds(swarm: SwarmProcess) -> list[tuple[object, ...]]:
    """What everybody did, without when and by which worker."""
    rows = swarm.table("requests").to_pylist()
    return sorted((row["user"], row["kind"], row["step"], row["status"], row["attempt"]) for row in rows)


def test_three_hosts_give_the_same_record_as_one(tmp_path: Path) -> None:
    with hosts(2) as others, serving(shop, host="0.0.0.0") as server:
        port = server.url.rpartition(":")[2]
        everywhere = Addresses(booking=f"http://{others[0].sees_us_at}:{port}", feeds=(), event="e")
        here, there = (
            msgspec.structs.replace(
                shop_spec(server.url, tmp_path / name, fans=FANS, workers=workers), addresses=everywhere
            )
            for name, workers in (("here", 3), ("there", 1))
        )
        first = shlex.split(PLAN.commands[0])
        remote_workers, workers = (int(first[first.index(name) + 1]) for name in ("--remote-workers", "--workers"))
        reach = Reach(listen="0.0.0.0", remote_workers=remote_workers, key=RunKey.draw().text)
        spread = msgspec.structs.replace(there, reach=reach, workers=workers)
        alone, alone_finished, alone_settled = record(here, [])
        swarm, finished, settled = record(spread, others)
    assert len(others) == remote_workers == len(PLAN.commands) - 1
    assert deeds(swarm) == deeds(alone)
    limits = {row["worker"]: row["ports_limit"] for row in swarm.table("generator").to_pylist()}
    assert sum(limits.values()) == 3 * alone.table("generator")["ports_limit"][0].as_py()  # each host has its own
    assert finished.journey_digest == alone_finished.journey_digest
    assert [one.armed for one in finished.load.workers] == [one.armed for one in alone_finished.load.workers]
    for load in (settled.load, alone_settled.load):
        assert load.users_released == FANS
        assert load.requests_sent == load.samples_recorded
    assert settled.load.requests_sent == alone_settled.load.requests_sent
    for name in ("operations", "final_seats"):
        assert swarm.table(name).num_rows == alone.table(name).num_rows
    for worker in finished.load.workers:
        assert abs(worker.clock_offset_ms) <= worker.clock_uncertainty_ms + 0.05
        assert cast("float", worker.skew_ms_min) >= -worker.clock_uncertainty_ms


def test_a_host_that_is_cut_off_is_lost(tmp_path: Path) -> None:
    with hosts(1) as (host,), serving(shop, host="0.0.0.0") as server:
        port = server.url.rpartition(":")[2]
        addresses = Addresses(booking=f"http://{host.sees_us_at}:{port}", feeds=(), event="e")
        spec = shop_spec(server.url, tmp_path, customer="Loiterer", fans=8, duration_s=25, workers=1)
        reach = Reach(listen="0.0.0.0", remote_workers=1, key=RunKey.draw().text)
        spec = msgspec.structs.replace(spec, addresses=addresses, reach=reach)
        with running(spec) as swarm:
            worker = guest(host, spec, swarm.expect(Waiting).port)
            try:
                swarm.expect(Armed)
                swarm.tell(ReleaseCommand())
                swarm.expect(Release)
                while swarm.expect(Progress).users_by_step.get("join", 0) < 8:  # each worker has told of its own
                    continue
                subprocess.run(["ip", "link", "set", host.cable, "down"], check=True)
                finished = swarm.expect(Finished)
                assert swarm.ended() == 0
                assert worker.wait(60) == 3  # it has noticed, too, and does not load the platform unseen
            finally:
                worker.kill()
                worker.wait()
    assert [one.lost for one in finished.load.workers] == [False, True]
    (note,) = [note for note in finished.notes if "worker 2 was lost: nothing was heard from" in note]
    assert "that it told of at" in note
    assert note.endswith("its users are gone: fan 4 to 7")
    assert finished.load.users_released == 8
