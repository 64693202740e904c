"""What one arrival costs each side: the load generator, the booking process, Valkey, in µs of processor time.

`python -m tests.bench.arrival`. An arrival is a connect, the queue page, the challenge with its proof of
work, the join, and a stream of positions that stays open after its first event. The load generator is the real client
with the reference adapter and a recorder. Nobody is admitted: no worker runs. Processor time is what the kernel counts
for each process from the first arrival to the last held stream, user and system together, so that other programs on
the machine make it hardly worse.
"""

from __future__ import annotations

import locust  # noqa: F401  isort: skip - first: it patches the process for gevent

import argparse
import asyncio
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gevent
import msgspec
import psutil
from gevent.lock import BoundedSemaphore

from harness.platform import Addresses, Call, FanSession, Person
from harness.processes.machine import raise_descriptors
from harness.processes.ports import port_range
from harness.processes.source_addresses import addresses_of
from harness.record.schema import Outcome
from harness.swarm.client.connecting import SOURCES
from harness.swarm.messaging.protocol import DEFAULT_PLATFORM
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder, prepare_arrow
from harness.swarm.users.loader import load_class
from tests.bench import rounds

FANS = 4_000
AT_ONCE = 64
ROUNDS = 3
BITS = 8
TAKE_EVERY_S = 1.0
HELD_WITHIN_S = 300.0


class Crowd:
    """So many fans of one generator process."""

    def __init__(self, port: int, event: str) -> None:
        self._recorder = Recorder(1)
        addresses = Addresses(booking=f"http://127.0.0.1:{port}", feeds=(), event=event)
        self._platform = load_class(DEFAULT_PLATFORM)(addresses, self._recorder)
        self._at_once = BoundedSemaphore(AT_ONCE)
        self._t0 = ReleaseInstant(time.monotonic(), time.time())
        self.held = 0

    def arrive(self, sessions: list[FanSession]) -> None:
        """All of them, and hold their streams."""
        count = len(sessions)
        for session in sessions:
            gevent.spawn(self._live, session)
        deadline_s = time.monotonic() + HELD_WITHIN_S
        target = self.held + count
        while self.held < target:
            if time.monotonic() > deadline_s:
                raise SystemExit(f"only {self.held} streams are held")
            gevent.sleep(0.02)
            self._recorder.take(self._t0)

    def sessions(self, first: int, count: int) -> list[FanSession]:
        """Begun, not yet connected: as a fan who is prepared."""
        return [self._session(index) for index in range(first, first + count)]

    def _session(self, index: int) -> FanSession:
        name = f"fan-{index:06d}"
        return self._platform.fan_session(Person(user=index, kind="fan", actor=name, identity=name))

    def _live(self, session: FanSession) -> None:
        with self._at_once:
            session.queue_page(_now())
            session.join(_now())
            stream = session.positions(_now())
        if stream.outcome is Outcome.OK and stream.value is not None:
            self.held += 1
            for _ in stream.value:
                pass


def _now() -> Call:
    return Call(t_intended_s=time.monotonic())


def measure(fans: int) -> dict[str, float]:
    """One round on servers of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tests.bench.arrival", "--serve", folder, "--bits", str(BITS)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as servers:
            assert servers.stdin is not None
            assert servers.stdout is not None
            served = msgspec.json.decode(servers.stdout.readline())
            try:
                return _arrivals(fans, served)
            finally:
                servers.stdin.close()


def _arrivals(fans: int, served: dict[str, str | int]) -> dict[str, float]:
    sides = {
        "generator": psutil.Process(),
        "booking": psutil.Process(int(served["booking"])),
        "valkey": psutil.Process(int(served["valkey"])),
    }
    first, last = port_range()
    SOURCES.use(addresses_of((), ("http://127.0.0.1",), fans, last - first + 1))
    crowd = Crowd(int(served["port"]), str(served["event"]))
    crowd.arrive(crowd.sessions(0, 200))
    sessions = crowd.sessions(200, fans)
    gc.collect()
    before = {name: (sum(one.cpu_times()[:2]), one.memory_info().rss) for name, one in sides.items()}
    started_s = time.monotonic()
    crowd.arrive(sessions)
    took_s = time.monotonic() - started_s
    after = {name: (sum(one.cpu_times()[:2]), one.memory_info().rss) for name, one in sides.items()}
    figures = {f"{name}_us": (after[name][0] - before[name][0]) / fans * 1e6 for name in sides}
    figures |= {f"{name}_kib": (after[name][1] - before[name][1]) / fans / 1024 for name in sides}
    figures["per_s"] = fans / took_s
    return {name: round(value, 2) for name, value in figures.items()}


def serve(folder: Path, bits: int) -> None:
    """Valkey and a booking process, until the end of stdin. Prints where they are."""
    from tests.bench.waiting import load_event
    from tests.target.conftest import Valkey
    from tests.target.processes import EVENT, running

    with contextlib.ExitStack() as stack:
        valkey = Valkey(folder)
        valkey.start()
        stack.callback(valkey.kill)
        asyncio.run(load_event(valkey.url))
        settings = {"challenge": "proof_of_work", "challenge_bits": bits, "dependency_timeout_s": 10.0}
        server = stack.enter_context(running("booking", redis_url=valkey.url, **settings))
        told = {"port": server.port, "event": EVENT, "booking": server.process.pid, "valkey": valkey.process.pid}
        print(json.dumps(told), flush=True)
        sys.stdin.read()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.arrival")
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--bits", type=int, default=BITS)
    parser.add_argument("--fans", type=int, default=FANS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    raise_descriptors()
    if asked.serve:
        serve(asked.serve, asked.bits)
        return 0
    prepare_arrow()
    figures = [measure(asked.fans) for _ in range(asked.rounds)]
    middle = rounds.medians(figures)
    document = {"what": f"processor time and memory of one of {asked.fans} arrivals, by side", **middle}
    path = rounds.write("arrival", document | {"rounds": figures})
    sides = ", ".join(f"{side} {middle[f'{side}_us']:.0f} µs" for side in ("generator", "booking", "valkey"))
    print(f"an arrival: {sides} ({path})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
