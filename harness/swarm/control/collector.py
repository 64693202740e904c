"""The master's side of recording: batches in, tables out, and what the tables say so far.

Everything counted here is counted from the rows that are in the record, never from what a worker claims.
"""

from __future__ import annotations

from collections import Counter, deque
from pathlib import Path
from time import monotonic
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import EnvironmentProblem, NoVerdict
from harness.platform import AckedOrder
from harness.record.histogram import MIDDLE_S, counted, largest_us
from harness.record.paths import RunPaths
from harness.record.schema import PROBE_ACTOR, TABLES, Function, Outcome
from harness.record.writer import TableWriter
from harness.swarm.control.lost_workers import Recorded
from harness.swarm.messaging.messages import Batch
from harness.swarm.recording.progress_file import Begun, read_progress

ALWAYS_WRITTEN: Final = ("requests", "operations", "events", "generator")
_WINDOW_S: Final = 3.0
_EXHAUSTED: Final = pa.array(["ports_exhausted", "fds_exhausted"])


class _Seats(msgspec.Struct, frozen=True):
    """Of an operation's value, what is needed here."""

    seats: tuple[str, ...] = ()
    order_id: str = ""
    state: str = ""


_decode_seats: Final = msgspec.json.Decoder(_Seats).decode


class Delivered:
    """What one worker has delivered."""

    def __init__(self) -> None:
        self.batches: Counter[str] = Counter()
        self.operations = 0
        self.exhausted = 0
        self.summed = 0
        self.last_end_s: float | None = None
        self._seqs: list[npt.NDArray[np.int64]] = []

    def add_samples(self, rows: pa.RecordBatch) -> None:
        """More rows of REQUESTS."""
        self._seqs.append(rows["seq"].to_numpy())
        self.exhausted += pc.sum(pc.is_in(rows["error"], value_set=_EXHAUSTED)).as_py() or 0
        self.last_end_s = max(self.last_end_s or 0.0, pc.max(rows["t_end_s"]).as_py())

    @property
    def samples(self) -> int:
        """How many different requests are in the record: a row that came twice counts once."""
        return self.summed + (len(np.unique(np.concatenate(self._seqs))) if self._seqs else 0)

    @property
    def last_seq(self) -> int:
        """The highest request number, -1 for none."""
        return max((int(seqs.max()) for seqs in self._seqs), default=-1)


class Collector:
    """Appends what the workers send to the tables of the run directory."""

    def __init__(self, paths: RunPaths) -> None:
        self._paths = paths
        self._writers: dict[str, TableWriter] = {}
        self._finished = False
        self._recent: deque[tuple[float, npt.NDArray[np.float64]]] = deque()
        self.workers: dict[int, Delivered] = {}
        self.requests = 0
        self.outcomes: Counter[str] = Counter()
        self.acked: dict[str, AckedOrder] = {}
        self.acked_by: dict[str, int] = {}  # order → the worker whose fan was told of it
        self.seats_held: set[str] = set()
        self.unwritten: dict[str, str] = {}  # table → what of it is not on disk, in words
        for name in ALWAYS_WRITTEN:
            self.ensure(name)

    def ensure(self, table: str) -> None:
        """The table exists, if only empty."""
        if table not in self._writers:
            self._writers[table] = TableWriter(self._paths, table)

    def add(self, batch: Batch) -> None:
        """One batch as it came from a worker."""
        if self._finished:  # workers only have their own health to tell of then
            return
        if batch.number >= self.tally(batch.worker).batches[batch.table]:  # else its worker's disk was quicker
            rows = pa.ipc.read_record_batch(pa.py_buffer(batch.data), TABLES[batch.table])
            self._append(batch.worker, batch.table, rows)

    def recover(self, worker: int) -> int:
        """Take what a dead worker had on its own disk and had not sent. Returns the number of rows."""
        rows = 0
        for table in TABLES:
            path = self._paths.spool(table, worker)
            if path.exists():
                for batch in _batches_of(path)[self.tally(worker).batches[table] :]:
                    self._append(worker, table, batch)
                    rows += batch.num_rows
        return rows

    def progress(self, worker: int) -> Begun | None:
        """What a worker of this machine has begun, exactly; null: it is of another one."""
        return read_progress(self._paths.progress(worker))

    def recorded(self, worker: int) -> Recorded:
        """What the record has of it."""
        tally = self.tally(worker)
        return Recorded(tally.samples, tally.operations, tally.last_end_s)

    def first_sends_s(self, worker: int) -> tuple[tuple[float, ...], int]:
        """What a lost worker could not say itself, from its rows: how late each user first sent, and how many sent
        before T0 and followed from there. Of users whose requests are summed up those count who began an operation, by
        when they did."""
        sent = self._rows_of("requests", worker, ["seq", "user", "actor", "t_intended_s", "t_start_s"])
        users = sent.sort_values("seq").query("user >= 0").groupby("actor").first()
        armed = users["t_start_s"] < 0.0
        late_s = (users["t_start_s"] - users["t_intended_s"])[~armed]
        if self.tally(worker).summed:
            began = self._rows_of("operations", worker, ["op", "actor", "t_intended_s", "t_invoke_s"])
            first = began.sort_values("op").groupby("actor").first().drop(users.index, errors="ignore")
            theirs = first[~first.index.str.startswith(PROBE_ACTOR)]
            late_s = pd.concat([late_s, theirs["t_invoke_s"] - theirs["t_intended_s"]])
        return tuple(late_s.clip(lower=0.0)), int(armed.sum())

    def _rows_of(self, table: str, worker: int, columns: list[str]) -> pd.DataFrame:
        batches = [one for one in _batches_of(self._writers[table].path) if one["worker"][0].as_py() == worker]
        found: pd.DataFrame = pa.Table.from_batches(batches, TABLES[table]).select(columns).to_pandas()
        return found

    def sent_by(self, worker: int) -> int:
        """Requests that this worker has sent, as far as this machine can know."""
        begun = self.progress(worker)
        return max(begun.requests if begun else 0, self.tally(worker).last_seq + 1)

    def tally(self, worker: int) -> Delivered:
        """What this worker has delivered."""
        return self.workers.setdefault(worker, Delivered())

    def has_all(self, worker: int, batches: dict[str, int]) -> bool:
        """Whether every batch that the worker says it sent is here."""
        received = self.tally(worker).batches
        return all(received[table] >= count for table, count in batches.items())

    def rate_and_p99(self) -> tuple[float, float | None]:
        """Requests per second and p99 of the service time in ms, over the batches of the last three seconds."""
        oldest_s = monotonic() - _WINDOW_S
        while self._recent and self._recent[0][0] < oldest_s:
            self._recent.popleft()
        if not self._recent:
            return 0.0, None
        times_ms = np.concatenate([times for _, times in self._recent])
        return len(times_ms) / _WINDOW_S, float(np.percentile(times_ms, 99))

    def finish(self) -> None:
        """Turn the tables into Parquet, and drop the workers' own copies. Finishing twice does nothing.

        Raises NoVerdict when rows are not on disk: then every table is as whole as it can be, and the copies stay.
        """
        if self._finished:
            return
        self._finished = True
        for name, writer in self._writers.items():
            try:
                writer.finish()
            except EnvironmentProblem as problem:
                self.unwritten[name] = problem.message
        if self.unwritten:
            raise NoVerdict(
                f"the record is not whole: {'; '.join(self.unwritten.values())}",
                hint="free space or choose another place with --out, then rehearse again",
            )
        spool = self._paths.spool("requests", 1).parent
        for path in (*spool.glob("*.arrows"), *spool.glob("sent-*")):
            path.unlink()
        if spool.exists():
            spool.rmdir()

    def _append(self, worker: int, table: str, rows: pa.RecordBatch) -> None:
        tally = self.tally(worker)
        tally.batches[table] += 1
        try:
            self.ensure(table)
            self._writers[table].append(rows)
        except EnvironmentProblem as problem:
            self.unwritten[table] = problem.message
            return
        if table == "requests":
            self._note_requests(tally, rows)
        elif table == "histograms":
            self._note_histograms(tally, rows)
        elif table == "operations":
            tally.operations += rows.num_rows
            self._note_operations(rows)

    def _note_requests(self, tally: Delivered, rows: pa.RecordBatch) -> None:
        tally.add_samples(rows)
        self.requests += rows.num_rows
        took_ms = pc.multiply(pc.subtract(rows["t_end_s"], rows["t_start_s"]), 1000.0)
        self._recent.append((monotonic(), took_ms.to_numpy(zero_copy_only=False)))

    def _note_histograms(self, tally: Delivered, histograms: pa.RecordBatch) -> None:
        counts = counted(histograms)
        tally.summed += int(counts.sum())
        self.requests += int(counts.sum())
        exhausted = pc.is_in(histograms["error"], value_set=_EXHAUSTED).to_numpy(zero_copy_only=False)
        tally.exhausted += int(counts[exhausted].sum())
        service_ms = largest_us(pc.list_flatten(histograms["service"]).to_numpy()) / 1000.0
        sent_s = np.repeat(histograms["t_s"].to_numpy(), pc.list_value_length(histograms["count"]).to_numpy())
        tally.last_end_s = max(tally.last_end_s or 0.0, float((sent_s + MIDDLE_S + service_ms / 1000.0).max()))
        took_ms = np.repeat(service_ms, pc.list_flatten(histograms["count"]).to_numpy())
        self._recent.append((monotonic(), took_ms))

    def _note_operations(self, rows: pa.RecordBatch) -> None:
        names = ("worker", "function", "outcome", "actor", "identity", "value")
        columns = (rows[name].to_pylist() for name in names)
        for worker, function, outcome, actor, identity, value in zip(*columns, strict=True):
            if not actor.startswith(PROBE_ACTOR):
                self.outcomes[f"{function} {outcome}"] += 1
            if outcome != Outcome.FAIL and function == Function.HOLD:
                self.seats_held.update(_decode_seats(value).seats)
            elif outcome == Outcome.OK and function == Function.PAY:
                order_id = _decode_seats(value).order_id
                if order_id:
                    self.acked[order_id] = AckedOrder(order_id=order_id, actor=actor, identity=identity)
                    self.acked_by[order_id] = worker


def _batches_of(path: Path) -> list[pa.RecordBatch]:
    """The whole batches of a stream that may have been cut anywhere."""
    batches: list[pa.RecordBatch] = []
    try:
        with pa.ipc.open_stream(path.read_bytes()) as stream:
            batches.extend(stream)
    except (pa.ArrowInvalid, OSError):
        return batches
    return batches
