"""A real swarm, master and workers, as its conductor sees it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from harness.record.paths import RunPaths
from harness.scenario import Journey, Journeys, Load, Scenario
from harness.stack import Addresses
from harness.swarm.messaging.protocol import (
    Armed,
    Command,
    Event,
    FailureMessage,
    Finished,
    Release,
    ReleaseCommand,
    Settle,
    Settled,
    SwarmSpec,
    decode_event,
    encode_line,
    encode_spec,
)
from tests.waiting import wait_until

SHOP = Path(__file__).with_name("corner_shop.py")
ROOT = Path(__file__).parents[3]
E = TypeVar("E")


class SwarmProcess:
    def __init__(self, process: subprocess.Popen, run_dir: Path) -> None:
        self.process = process
        self.run_dir = run_dir
        self._events: Queue[Event | None] = Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def tell(self, command: Command) -> None:
        self.process.stdin.write(encode_line(command))
        self.process.stdin.flush()

    def expect(self, kind: type[E], within_s: float = 240.0) -> E:
        """The next event of that kind; those before it are passed over, except failures."""
        while True:
            event = self._events.get(timeout=within_s)
            assert event is not None, f"the swarm ended before {kind.__name__}"
            if isinstance(event, kind):
                return event
            assert not isinstance(event, FailureMessage), event

    def next(self, within_s: float = 60.0) -> Event:
        """The next event, whatever it is."""
        event = self._events.get(timeout=within_s)
        assert event is not None, "the swarm ended without a word"
        return event

    def ended(self, within_s: float = 120.0) -> int:
        self.process.stdin.close()
        return self.process.wait(within_s)

    def to_the_end(self) -> tuple[Armed, Finished, Settled]:
        """Arm, release, run, settle, end."""
        return self.expect(Armed), *self.from_release()

    def from_release(self) -> tuple[Finished, Settled]:
        """The same of a swarm that is armed."""
        self.tell(ReleaseCommand())
        self.expect(Release)
        finished = self.expect(Finished)
        self.tell(Settle())
        settled = self.expect(Settled)
        assert self.ended() == 0
        return finished, settled

    def table(self, name: str) -> pa.Table:
        return pq.read_table(self.run_dir / f"{name}.parquet")

    def await_recorded(self, count: int, workers: tuple[int, ...] = (1, 2)) -> None:
        """Until the master has written down so many requests of each of these workers."""
        wait_until(
            lambda: min(map(self._recorded().__getitem__, workers)) >= count, within_s=120, what="their requests"
        )

    def _recorded(self) -> Counter[int]:
        counts: Counter[int] = Counter()
        with suppress(OSError, pa.ArrowInvalid):  # it has not begun, or its last batch is half written
            source = pa.OSFile(str(RunPaths(root=self.run_dir).live_table("requests")))
            with source, pa.ipc.open_stream(source) as batches:
                for batch in batches:
                    counts.update(batch["worker"].to_pylist())
        return counts

    def worker_pids(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        worker = b"harness.swarm.control.worker"
        return [int(pid) for pid in children if worker in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def _read(self) -> None:
        for line in self.process.stdout:
            self._events.put(decode_event(line))
        self._events.put(None)


def shop_spec(url: str, run_dir: Path, customer: str = "Customer", **changes: object) -> SwarmSpec:
    load = {"fans": 40, "spectators": 0, "journey": Journey(), "arm_timeout_s": 120.0}
    own = ("fans", "bots", "lurkers", "arrivals", "journey", "connect", "arm_timeout_s", "source_addresses")
    load |= {key: changes.pop(key) for key in list(changes) if key in own}
    return SwarmSpec(
        run_dir=str(run_dir),
        addresses=Addresses(booking=url, feeds=(), event="e"),
        scenario=Scenario(
            name="shop",
            description="a test",
            duration_s=float(changes.pop("duration_s", 3.0)),
            settle_timeout_s=5.0,
            load=Load(**load),
        ),
        seed=int(changes.pop("seed", 7)),
        platform=f"{SHOP}:{changes.pop('platform', 'CornerShop')}",
        journeys=Journeys(fan=f"{SHOP}:{customer}", probe=f"{SHOP}:Watcher"),
        workers=int(changes.pop("workers", 2)),
    )


@contextmanager
def running(spec: SwarmSpec, *before: str) -> Iterator[SwarmProcess]:
    """A swarm; `before` goes before its command, as in "prlimit --nofile=70"."""
    run_dir = Path(spec.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    log = (run_dir / "swarm.log").open("wb")
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "harness.swarm"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.stdin.write(encode_spec(spec))
    process.stdin.flush()
    swarm = SwarmProcess(process, run_dir)
    try:
        yield swarm
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        swarm._reader.join(5)
        for stream in (process.stdin, process.stdout, log):
            stream.close()
