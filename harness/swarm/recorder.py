"""Where a worker process notes what happened, column by column, until it is sent on.

Rows hold instants on this worker's monotonic clock; they become seconds relative to T0 when a batch is taken. Nothing
here knows sockets or Locust: `told` is what keeps Locust's statistics in a swarm.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import MutableSequence
from time import monotonic
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from harness.platform import Person
from harness.record.histogram import bucket_us
from harness.record.schema import TABLES, Function, Outcome
from harness.swarm.clock import ReleaseInstant
from harness.swarm.pulse import OPERATIONS, REQUESTS
from harness.swarm.request_hook import Cell, RequestHook, Row
from harness.swarm.tracing import Tracer, span_id

_ALL: Final = sys.maxsize
_WALL_CLOCK_COLUMNS: Final = frozenset({"t_sent_s"})
_encode_json: Final = msgspec.json.Encoder().encode


class TableBuffer:
    """Rows of one table since the last batch. Columns are the table's, without `worker` when that leads them."""

    def __init__(self, name: str, worker: int) -> None:
        self.name = name
        self.rows: list[Row] = []
        self._worker = worker
        self._schema = TABLES[name]
        self._columns = [field for field in self._schema if field.name != "worker"]

    def take(self, t0: ReleaseInstant, rows_max: int) -> pa.RecordBatch | None:
        """The oldest rows as one batch, times relative to T0; null when there is none."""
        rows, self.rows = self.rows[:rows_max], self.rows[rows_max:]
        if not rows:
            return None
        given = dict(zip((field.name for field in self._columns), zip(*rows, strict=True), strict=True))
        return pa.RecordBatch.from_arrays(
            [self._array(field, given.get(field.name), len(rows), t0) for field in self._schema], schema=self._schema
        )

    def _array(self, field: pa.Field, cells: tuple[Cell, ...] | None, size: int, t0: ReleaseInstant) -> pa.Array:
        if cells is None:
            return pa.array(np.full(size, self._worker), type=field.type)
        if pa.types.is_floating(field.type) and field.name.startswith("t_"):
            zero_s = t0.wall_s if field.name in _WALL_CLOCK_COLUMNS else t0.monotonic_s
            return pa.array(np.array(cells, dtype=np.float64) - zero_s, type=field.type, from_pandas=True)
        return pa.array(cells, type=field.type)


class Operation:
    """A business call that was invoked and has not ended."""

    __slots__ = ("_recorder", "function", "key", "op", "person", "retry_of", "t_invoke_s", "value")

    def __init__(
        self,
        recorder: Recorder,
        op: int,
        person: Person,
        function: Function,
        key: str,
        value: object,
        retry_of: int | None,
    ) -> None:
        self.op = op
        self.person = person
        self.function = function
        self.key = key
        self.value = value
        self.retry_of = retry_of
        self.t_invoke_s = monotonic()
        self._recorder = recorder

    def end(
        self, outcome: Outcome, *, error: str = "", key: str | None = None, value: object = None, t_end_s: float | None
    ) -> None:
        """It ended; `key` and `value` replace those it was begun with. An unknown operation never completed."""
        self._recorder.end_operation(
            self,
            (
                self.op,
                self.person.actor,
                self.person.identity,
                self.function.value,
                self.key if key is None else key,
                _encode_json(self.value if value is None else value).decode(),
                self.t_invoke_s,
                None if outcome is Outcome.UNKNOWN else t_end_s,
                outcome.value,
                error,
                self.retry_of,
            ),
        )


class Recorder:
    """Everything one worker process has to say for the record.

    When more than `rows_waiting_max` requests wait to be taken, those that follow are counted in histograms: so the
    memory that they take is bounded at any rate.
    """

    def __init__(
        self,
        worker: int,
        told: RequestHook | None = None,
        tracer: Tracer | None = None,
        rows_waiting_max: int = _ALL,
    ) -> None:
        self.worker = worker
        self.tracer: Final = tracer or Tracer()
        self.pulse: MutableSequence[int] | memoryview = [0, 0]  # see `harness.swarm.pulse`
        self.requests_sent = 0
        self.samples_recorded = 0
        self.buffers: Final = {name: TableBuffer(name, worker) for name in TABLES}
        self._requests = self.buffers["requests"]
        self._events = self.buffers["events"]
        self._operations = self.buffers["operations"]
        self._told = told
        self._open: dict[int, Operation] = {}
        self._next_op = 0
        self._spans = 0
        self._rows_waiting_max = rows_waiting_max
        self._cells: Counter[Row] | None = None
        self._zero_s = 0.0

    def next_seq(self) -> int:
        """The number of the next request, 0, 1, 2 …; from here on it must be recorded."""
        seq = self.requests_sent
        self.requests_sent = self.pulse[REQUESTS] = seq + 1
        return seq

    def next_span(self) -> str:
        """The id of the next span of this worker."""
        self._spans += 1
        return span_id(self.worker, self._spans)

    def span(self, trace_id: str, own_id: str, row: Row) -> None:
        """A traced request has ended; `row` is what `request` was given."""
        _, user, kind, step, method, _, t_start_s, _, t_end_s, status, outcome, error, _, attempt = row
        told = {"user": user, "kind": kind, "method": method, "status": status, "error": error, "attempt": attempt}
        self.buffers["spans"].rows.append(
            (
                trace_id,
                own_id,
                "",
                "swarm",
                f"worker-{self.worker}",
                step,
                "client",
                t_start_s,
                t_end_s,
                "ok" if outcome == Outcome.OK else "error",
                _encode_json(told).decode(),
            )
        )

    def request(self, row: Row) -> None:
        """One row of REQUESTS (without `worker`), told to Locust too."""
        if self._cells is None:
            self._requests.rows.append(row)
            if len(self._requests.rows) >= self._rows_waiting_max:
                self.condense()
        else:
            self._count(self._cells, row)
        self.samples_recorded += 1
        if self._told is not None:
            self._told.note(row)

    def condense(self, zero_s: float | None = None) -> None:
        """From now on requests are counted per second from `zero_s` on, T0 on this worker's clock, not kept as rows."""
        self._zero_s = self._zero_s if zero_s is None else zero_s
        self._cells = Counter()

    def released_at(self, t0_s: float) -> None:
        """T0 on this worker's clock."""
        self._zero_s = t0_s

    def _count(self, cells: Counter[Row], row: Row) -> None:
        _, _, kind, step, method, intended_s, start_s, _, end_s, status, outcome, error, _, attempt = row
        second_s = self._zero_s + (start_s - self._zero_s) // 1  # type: ignore[operator]
        service_us = bucket_us(int((end_s - start_s) * 1e6))  # type: ignore[operator]
        response_us = bucket_us(int((end_s - intended_s) * 1e6))  # type: ignore[operator]
        cells[(second_s, kind, step, method, status, outcome, error, attempt, service_us, response_us)] += 1

    def event(self, row: Row) -> None:
        """One row of EVENTS (without `worker`). `t_sent_s` is unix time here."""
        self._events.rows.append(row)

    def row(self, table: str, row: Row) -> None:
        """One row of any table (without `worker`)."""
        self.buffers[table].rows.append(row)

    def begin(
        self, person: Person, function: Function, *, key: str = "", value: object, retry_of: int | None = None
    ) -> Operation:
        """An operation is about to be invoked. `value`: what is known of it now, a JSON object."""
        operation = Operation(self, self._next_op, person, function, key, value, retry_of)
        self._open[operation.op] = operation
        self._next_op = self.pulse[OPERATIONS] = operation.op + 1
        return operation

    @property
    def operations_begun(self) -> int:
        """How many operations were ever invoked."""
        return self._next_op

    def end_operation(self, operation: Operation, row: Row) -> None:
        """Called by `Operation.end`."""
        del self._open[operation.op]
        self._operations.rows.append(row)

    def cut_operations(self) -> int:
        """No journey runs any more: whatever is in flight will never be known. Returns how many there were."""
        cut = list(self._open.values())
        for operation in cut:
            operation.end(Outcome.UNKNOWN, error="stopped", t_end_s=None)
        return len(cut)

    def take(self, t0: ReleaseInstant, rows_max: int = _ALL) -> dict[str, pa.RecordBatch]:
        """A batch for each table that has new rows, of at most `rows_max` rows: a big one would stop the loop."""
        if self._told is not None:
            self._told.catch_up()
        if self._cells:
            self.buffers["histograms"].rows.extend((*cell, count) for cell, count in self._cells.items())
            self._cells.clear()
        batches = ((name, buffer.take(t0, rows_max)) for name, buffer in self.buffers.items())
        return {name: batch for name, batch in batches if batch is not None}


def prepare_arrow() -> None:
    """One thread is plenty for a process of the swarm. Arrow loads pandas when first asked for an array, which takes
    most of a second: better now than during the release."""
    pa.set_cpu_count(1)
    pa.array([0.0], from_pandas=True)
