"""One release over machines of their own: separate networks, and clocks that were started at other times.

Network namespaces stand in for machines and time namespaces for their clocks; skipped where there are none.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from harness.swarm.joining.reach import invitation
from harness.swarm.messaging.protocol import Reach, SwarmSpec, Waiting
from tests.harness.swarm.joining.test_worker_machine import KEY, shop
from tests.harness.swarm.namespaces import inside, ip, link, listener_inside, network_namespace
from tests.harness.swarm.scripted_server import serving
from tests.harness.swarm.swarm_process import SwarmProcess, running, shop_spec

ROOT = Path(__file__).parents[4]
OFFSETS_S = (5000, -50)  # of the second and third machine's clock
DOOR = 15557


@contextmanager
def machines() -> Iterator[tuple[str, str, str]]:
    """Three, the first with a cable to each of the others: 10.231.2.1 to 10.231.2.2, 10.231.3.1 to 10.231.3.2."""
    with network_namespace("gc-one") as one, network_namespace("gc-two") as two, network_namespace("gc-three") as three:
        link(one, "10.231.2.1/24", two, "10.231.2.2/24", 2)
        link(one, "10.231.3.1/24", three, "10.231.3.2/24", 3)
        ip("route", "add", "default", "via", "10.231.3.1", inside=three)
        yield one, two, three


def require_time_namespaces() -> None:
    made = subprocess.run(["unshare", "-T", "--monotonic", "5", "--fork", "true"], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no time namespace can be made: {made.stderr.decode().strip()}")


@contextmanager
def guest_machine(spec: SwarmSpec, space: str, offset_s: int, log: Path) -> Iterator[None]:
    clock = ["unshare", "-T", "--monotonic", str(offset_s), "--fork", "--kill-child"]
    called = msgspec.structs.replace(spec, reach=msgspec.structs.replace(spec.reach, listen="10.231.2.1"))
    joining = [sys.executable, "-m", "harness", *shlex.split(invitation(called, DOOR))[1:]]
    with log.open("wb") as said:
        process = subprocess.Popen([*inside(space), *clock, *joining], cwd=ROOT, stderr=said)
    try:
        yield
    finally:
        process.kill() if process.poll() is None else None
        process.wait()


def over_machines(spec: SwarmSpec) -> SwarmSpec:
    return msgspec.structs.replace(spec, reach=Reach(listen="0.0.0.0", port=DOOR, remote_workers=2, key=KEY.text))


def who_did_what(swarm: SwarmProcess) -> list[tuple[int, str]]:
    rows = swarm.table("requests").to_pylist()
    return sorted((row["user"], row["step"]) for row in rows)


def test_three_machines_with_clocks_hours_apart_release_as_one_and_leave_the_same_record(tmp_path: Path) -> None:
    require_time_namespaces()
    with machines() as (one, two, three), serving(shop, listener=listener_inside(one, ("10.231.2.1", 18080))) as server:
        spec = over_machines(shop_spec(server.url, tmp_path / "apart", fans=30, workers=1))
        with running(spec, *inside(one)) as apart:
            apart.expect(Waiting)
            logs = (tmp_path / "two.log", tmp_path / "three.log")
            with guest_machine(spec, two, OFFSETS_S[0], logs[0]), guest_machine(spec, three, OFFSETS_S[1], logs[1]):
                armed, finished, settled = apart.to_the_end()
        local = shop_spec(server.url, tmp_path / "local", fans=30, workers=3)
        with running(local, *inside(one)) as together:
            _, alone, _ = together.to_the_end()

    assert (armed.armed, armed.asked) == (30, 30)
    assert settled.load.requests_sent == settled.load.samples_recorded == apart.table("requests").num_rows
    assert who_did_what(apart) == who_did_what(together)
    assert finished.journey_digest == alone.journey_digest

    by_offset = sorted(finished.load.workers, key=lambda worker: worker.clock_offset_ms)
    for worker, offset_s in zip(by_offset, sorted([0, *OFFSETS_S]), strict=True):
        assert abs(worker.clock_offset_ms - offset_s * 1000) <= worker.clock_uncertainty_ms + 0.1
    first = [row for row in apart.table("requests").to_pylist() if row["step"] == "queue_page"]
    for worker in finished.load.workers:
        sends_s = [row["t_start_s"] for row in first if row["worker"] == worker.worker]
        assert len(sends_s) == worker.released == 10
        assert min(sends_s) >= 0.0
        assert worker.skew_ms_min is not None
        assert worker.skew_ms_p50 is not None
