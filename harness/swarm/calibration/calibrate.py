"""`python -m harness.swarm.calibration.calibrate`: what one core of this machine can generate, as one line of JSON.

Rates are per second of processor time that this process used, so that a busy machine does not look like a slow one.
Everything is measured with the real client, the reference adapter and the recorder, as in a rehearsal.
"""

from __future__ import annotations

import locust  # isort: skip - first: it patches the process for gevent

import argparse
import gc
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import gevent
import msgspec
import psutil
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from harness.platform import Addresses, Call, FanSession, Person, PreparedRequest
from harness.processes.managed import child_environment
from harness.record.schema import Outcome
from harness.swarm.calibration.capacity import Calibration, PlatformCost
from harness.swarm.messaging.protocol import DEFAULT_PLATFORM
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder, prepare_arrow
from harness.swarm.recording.request_hook import EachFired
from harness.swarm.users.barrier import fire
from harness.swarm.users.loader import load_class

_REQUESTERS: Final = 50
_REQUESTS_S: Final = 1.0  # of processor time, at most three times as long by the clock
_FANS: Final = 600
_AT_ONCE: Final = 50
_SPARE_FDS: Final = 64
_DEADLINE_S: Final = 60.0
_POLL_S: Final = 0.02


class Bench:
    """One generator process under measurement."""

    def __init__(self, booking: str, event: str = "e", pids: Sequence[int] = ()) -> None:
        self._recorder = Recorder(1, EachFired(locust.events.request.fire))
        self._t0 = ReleaseInstant(time.monotonic(), time.time())
        addresses = Addresses(booking=booking, feeds=(), event=event)
        self._others = [psutil.Process(pid) for pid in pids]
        self._prepared: list[PreparedRequest] = []
        self._held = 0
        self._released = Event()
        self._at_once = BoundedSemaphore(_AT_ONCE)
        self._platform = load_class(DEFAULT_PLATFORM)(addresses, self._recorder)

    def run(self) -> Calibration:
        """All of it, in a few seconds. Memory comes first: later, what was freed would be used again unseen."""
        count = min(_FANS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_FDS)
        self._warm_up()
        before_bytes = _rss_bytes()
        others = self._other_costs()
        begun_cpu_s = time.process_time()
        fans = [gevent.spawn(self._live, self._fan(index)) for index in range(count)]
        _until(lambda: len(self._prepared) == count, self._errors)
        armed_bytes = (_rss_bytes() - before_bytes) / count
        begun_s = time.monotonic()
        arming_cpu_s = time.process_time() - begun_cpu_s
        fire(self._prepared)
        send_s = (time.monotonic() - begun_s) / count
        begun_cpu_s = time.process_time() - arming_cpu_s
        self._released.set()
        _until(lambda: self._held == count, self._errors)
        fans_per_s = count / (time.process_time() - begun_cpu_s)
        platform = self._platform_cost(others, count) if others else None
        self._recorder.take(self._t0)
        held_bytes = (_rss_bytes() - before_bytes) / count
        gevent.killall(fans)
        return Calibration(
            requests_per_s=self._requests(),
            fans_per_s=fans_per_s,
            send_us=send_s * 1e6,
            armed_fan_bytes=max(armed_bytes, 0.0),
            held_fan_bytes=max(held_bytes, armed_bytes, 0.0),
            worker_bytes=before_bytes,
            platform=platform,
        )

    def _other_costs(self) -> list[tuple[float, int]]:
        """Of each process of the platform: the processor time so far, and the memory now."""
        costs = []
        for process in self._others:
            family = [process, *process.children(recursive=True)]
            costs.append(
                (sum(sum(one.cpu_times()[:2]) for one in family), sum(one.memory_info().rss for one in family))
            )
        return costs

    def _platform_cost(self, before: list[tuple[float, int]], fans: int) -> PlatformCost:
        after = self._other_costs()
        used_us = [(now[0] - then[0]) / fans * 1e6 for then, now in zip(before, after, strict=True)]
        grown = sum(now[1] - then[1] for then, now in zip(before, after, strict=True))
        return PlatformCost(
            fan_us=sum(used_us),
            busiest_fan_us=max(used_us),
            fan_bytes=max(grown, 0) / fans,
            idle_bytes=sum(rss for _, rss in before),
            process_bytes=before[used_us.index(max(used_us))][1],
        )

    def _warm_up(self) -> None:
        """Runs one user first, so that one-time imports are not measured as the cost of the others."""
        session = self._fan(_FANS)
        session.queue_page(Call.now())
        session.join(Call.now())
        session.close()

    def _live(self, session: FanSession) -> None:
        """One fan, armed, released, and then in line for as long as the stream goes on."""
        with self._at_once:
            prepared = session.arm(warm=True)
        if prepared is not None:
            self._prepared.append(prepared)
        self._released.wait()
        with self._at_once:
            session.queue_page(Call.now())
            session.join(Call.now())
            stream = session.positions(Call.now())
        if stream.outcome is Outcome.OK and stream.value is not None:
            self._held += 1
            for _ in stream.value:
                pass

    def _fan(self, index: int) -> FanSession:
        name = f"fan-{index:06d}"
        session: FanSession = self._platform.fan_session(Person(user=index, kind="fan", actor=name, identity=name))
        return session

    def _requests(self) -> float:
        done = 0

        def ask(session: FanSession) -> None:
            nonlocal done
            while True:
                session.queue_page(Call.now())
                done += 1

        begun_cpu_s, begun_s = time.process_time(), time.monotonic()
        asking = [gevent.spawn(ask, self._fan(index)) for index in range(_REQUESTERS)]
        while time.process_time() - begun_cpu_s < _REQUESTS_S and time.monotonic() - begun_s < 3 * _REQUESTS_S:
            gevent.sleep(0.1)
            self._recorder.take(self._t0)
        rate = done / (time.process_time() - begun_cpu_s)
        gevent.killall(asking)
        return rate

    def _errors(self) -> str:
        rows = [batch for name, batch in self._recorder.take(self._t0).items() if name == "requests"]
        errors = {str(error) for batch in rows for error in batch["error"].to_pylist()} - {""}
        return ", ".join(sorted(errors)) or "no error was seen"


def _until(done: Callable[[], bool], why: Callable[[], str]) -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while not done():
        if time.monotonic() > deadline_s:
            raise SystemExit(f"not every fan got in: {why()}")
        gevent.sleep(_POLL_S)


def _rss_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


@contextmanager
def _server() -> Iterator[int]:
    command = [sys.executable, "-m", "harness.swarm.calibration.server"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=child_environment({})
    )
    with process:
        assert process.stdout is not None and process.stdin is not None  # noqa: S101, PT018 - opened as pipes above
        yield int(process.stdout.readline())
        process.kill()


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="python -m harness.swarm.calibration.calibrate")
    parser.add_argument("--booking", default="", help="URL of the reference system")
    parser.add_argument("--event", default="e")
    parser.add_argument("--pid", type=int, action="append", default=[], help="of its processes")
    asked = parser.parse_args()
    prepare_arrow()
    if asked.booking:
        calibration = Bench(asked.booking, asked.event, asked.pid).run()
    else:
        with _server() as port:
            calibration = Bench(f"http://127.0.0.1:{port}").run()
    print(msgspec.json.encode(calibration).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
