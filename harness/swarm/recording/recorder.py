"""Where a worker process notes what happened, row by row, until the rows are sent on as batches of columns.

Rows (`harness.swarm.recording.rows`) hold instants on this worker's monotonic clock; they become seconds relative to T0
when a batch is taken. Nothing here knows sockets or Locust: `told` is what keeps Locust's statistics in a swarm.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, MutableSequence
from time import monotonic
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from harness.platform import Call, Person
from harness.record.collecting.tail import SWARM
from harness.record.histogram import bucket
from harness.record.schema import TABLES, Function, Outcome
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.following import FeedLog, FollowedFeed, SummedFeed
from harness.swarm.recording.progress_file import OPERATIONS, REQUESTS
from harness.swarm.recording.request_hook import RequestHook
from harness.swarm.recording.rows import ROW_TYPES, EventRow, HistogramRow, OperationRow, RequestRow, Row, SpanRow
from harness.swarm.recording.tracing import Tracer, span_id

SPECTATOR: Final = "spectator"
STAMP_EVERY: Final = 8
"""So many requests to one whose arrival is asked of the kernel, when all that a worker has to do is send requests."""
_ALL: Final = sys.maxsize
_OK: Final = Outcome.OK.value
_WALL_CLOCK_COLUMNS: Final = frozenset({"t_sent_s"})
_encode_json: Final = msgspec.json.Encoder().encode
_Cell = str | int | float | None
_Ended = tuple[float, str, str, str, int, str, str, int]  # a HistogramRow without its histogram
_PAIR_BITS: Final = 16  # a pair of buckets is one number: the first above these bits, the second in them


class TableBuffer:
    """Rows of one table since the last batch."""

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
        cells = zip(*map(msgspec.structs.astuple, rows), strict=True)
        given = dict(zip((field.name for field in self._columns), cells, strict=True))
        return pa.RecordBatch.from_arrays(
            [self._array(field, given.get(field.name), len(rows), t0) for field in self._schema], schema=self._schema
        )

    def _array(self, field: pa.Field, cells: tuple[_Cell, ...] | None, size: int, t0: ReleaseInstant) -> pa.Array:
        if cells is None:
            return pa.array(np.full(size, self._worker), type=field.type)
        if pa.types.is_floating(field.type) and field.name.startswith("t_"):
            zero_s = t0.wall_s if field.name in _WALL_CLOCK_COLUMNS else t0.monotonic_s
            return pa.array(np.array(cells, dtype=np.float64) - zero_s, type=field.type, from_pandas=True)
        return pa.array(cells, type=field.type)


class _SpanTold(msgspec.Struct, frozen=True, gc=False):
    """Attributes of the span of a request."""

    actor: str
    user: int
    kind: str
    method: str
    status: int
    error: str
    attempt: int


class OpenOperation:
    """A business call that was invoked and has not ended.

    `call`: what its requests are sent with, so that their rows have its `op`.
    """

    __slots__ = ("_recorder", "call", "function", "key", "op", "person", "t_invoke_s", "value")

    def __init__(
        self,
        recorder: Recorder,
        op: int,
        person: Person,
        function: Function,
        call: Call,
        key: str,
        value: Mapping[str, object],
    ) -> None:
        self.op = op
        self.person = person
        self.function = function
        self.key = key
        self.value = value
        self.call = msgspec.structs.replace(call, op=op)
        self.t_invoke_s = monotonic()
        self._recorder = recorder

    def invoke(self) -> None:
        """Only now is it invoked: the requests so far prepared it, and could not have had its effect."""
        self.t_invoke_s = monotonic()

    def call_now(self) -> Call:
        """What a further request of it is sent with, one that is meant for this instant."""
        return Call(t_intended_s=monotonic(), op=self.op)

    def end(
        self,
        outcome: Outcome,
        *,
        error: str = "",
        key: str | None = None,
        value: Mapping[str, object] | None = None,
        t_end_s: float | None,
    ) -> None:
        """It ended; `key` and `value` replace those it was begun with. An unknown operation never completed."""
        row = OperationRow(
            op=self.op,
            actor=self.person.actor,
            identity=self.person.identity,
            function=self.function.value,
            key=self.key if key is None else key,
            value=_encode_json(self.value if value is None else value).decode(),
            t_intended_s=self.call.t_intended_s,
            t_invoke_s=self.t_invoke_s,
            t_complete_s=None if outcome is Outcome.UNKNOWN else t_end_s,
            outcome=outcome.value,
            error=error,
            retry_of=self.call.retry_of,
        )
        self._recorder.end_operation(self, row)


class Recorder:
    """Everything one worker process has to say for the record.

    `whole_users`: kind → the users of it whose requests are recorded one by one; null: those of all users are. The
    requests of others of these kinds are counted in histograms by the second. `whole_feeds`: the spectators who are
    recorded event by event; null: all are.
    """

    def __init__(
        self,
        worker: int,
        told: RequestHook | None = None,
        tracer: Tracer | None = None,
        stamp_every: int = STAMP_EVERY,
        whole_feeds: Collection[int] | None = None,
        whole_users: Mapping[str, Collection[int]] | None = None,
    ) -> None:
        self.worker = worker
        self.stamp_every: Final = stamp_every  # how many requests to one whose arrival the kernel is asked for
        self.tracer: Final = tracer or Tracer()
        self.progress: MutableSequence[int] | memoryview = [0, 0]  # see `harness.swarm.recording.progress_file`
        self.requests_sent = 0
        self.samples_recorded = 0
        self.buffers: Final = {name: TableBuffer(name, worker) for name in ROW_TYPES}
        self._requests = self.buffers["requests"]
        self._events = self.buffers["events"]
        self._operations = self.buffers["operations"]
        self._spans_ended = self.buffers["spans"]
        self._node = f"worker-{worker}"
        self._told = told
        self._open: dict[int, OpenOperation] = {}
        self._next_op = 0
        self._spans = 0
        self._whole_users = whole_users
        self._histograms: dict[_Ended, dict[int, int]] = {}
        self._zero_s = 0.0
        self._whole_feeds = whole_feeds
        self._feed_log = FeedLog()
        self._summed: list[SummedFeed] = []
        self._is_over = False

    def next_seq(self) -> int:
        """The number of the next request, 0, 1, 2 …; from here on it must be recorded."""
        seq = self.requests_sent
        self.requests_sent = self.progress[REQUESTS] = seq + 1
        return seq

    def next_span(self) -> str:
        """The id of the next span of this worker."""
        self._spans += 1
        return span_id(self.worker, self._spans)

    def span(self, trace_id: str, own_id: str, request: RequestRow) -> None:
        """A traced request has ended."""
        told = _SpanTold(
            request.actor, request.user, request.kind, request.method, request.status, request.error, request.attempt
        )
        row = SpanRow(  # by position, in the order of SPANS
            trace_id,
            own_id,
            "",
            SWARM,
            self._node,
            request.step,
            "client",
            request.t_start_s,
            request.t_end_s,
            "ok" if request.outcome == _OK else "error",
            _encode_json(told).decode(),
        )
        self._spans_ended.rows.append(row)

    def request(self, row: RequestRow) -> None:
        """A request has ended. Locust is told too."""
        whole = None if self._whole_users is None or row.user < 0 else self._whole_users.get(row.kind)
        if whole is None or row.user in whole:
            self._requests.rows.append(row)
        else:
            self._count(row)
        self.samples_recorded += 1
        if self._told is not None:
            self._told.note(row)

    def released_at(self, t0_s: float) -> None:
        """T0 on this worker's clock."""
        self._zero_s = t0_s

    def _count(self, row: RequestRow) -> None:
        second_s = self._zero_s + (row.t_start_s - self._zero_s) // 1
        ended = (second_s, row.kind, row.step, row.method, row.status, row.outcome, row.error, row.attempt)
        service = bucket(int((row.t_end_s - row.t_start_s) * 1e6))
        pair = service << _PAIR_BITS | bucket(int((row.t_end_s - row.t_intended_s) * 1e6))
        pairs = self._histograms.setdefault(ended, {})
        pairs[pair] = pairs.get(pair, 0) + 1

    def _take_histograms(self) -> Iterator[HistogramRow]:
        for ended, pairs in self._histograms.items():
            buckets = np.fromiter(pairs, np.int64, len(pairs))
            counts = np.fromiter(pairs.values(), np.int32, len(pairs))
            yield HistogramRow(
                *ended,
                service=(buckets >> _PAIR_BITS).astype(np.int16),
                response=(buckets & (1 << _PAIR_BITS) - 1).astype(np.int16),
                count=counts,
            )
        self._histograms.clear()

    def event(self, row: EventRow) -> None:
        """An event was seen on a stream."""
        self._events.rows.append(row)

    def saw(
        self,
        person: Person,
        stream: str,
        event: str,
        t_s: float,
        *,
        t_sent_s: float | None = None,
        epoch: str = "",
        seq: int | None = None,
        value: int | None = None,
        key: str = "",
    ) -> None:
        """This person saw an event on a stream."""
        self.event(
            EventRow(person.user, person.kind, person.actor, stream, event, t_s, t_sent_s, epoch, seq, value, key)
        )

    def following(self, person: Person) -> FollowedFeed:
        """What this person's feed of seats is told to. Only spectators are ever summed up: others look in."""
        if self._whole_feeds is None or person.kind != SPECTATOR or person.user < 0 or person.user in self._whole_feeds:
            return FollowedFeed(person, self._feed_log, self.event)
        feed = SummedFeed(person, self._feed_log, self.event)
        self._summed.append(feed)
        return feed

    def row(self, table: str, row: Row) -> None:
        """A row of any table, of the type that `ROW_TYPES` has for it."""
        self.buffers[table].rows.append(row)

    def begin(
        self, person: Person, function: Function, call: Call, *, key: str = "", value: Mapping[str, object]
    ) -> OpenOperation:
        """An operation is about to be invoked, for that call. `value`: what is known of it now, a JSON object.

        Its requests are to be sent with `OpenOperation.call`, not with the call that was given.
        """
        operation = OpenOperation(self, self._next_op, person, function, call, key, value)
        self._open[operation.op] = operation
        self._next_op = self.progress[OPERATIONS] = operation.op + 1
        return operation

    @property
    def rows_waiting(self) -> int:
        """How many rows the table with the most has to be taken."""
        return max(len(buffer.rows) for buffer in self.buffers.values())

    @property
    def operations_begun(self) -> int:
        """How many operations were ever invoked."""
        return self._next_op

    def end_operation(self, operation: OpenOperation, row: OperationRow) -> None:
        """Called by `OpenOperation.end`."""
        del self._open[operation.op]
        self._operations.rows.append(row)

    def cut_operations(self) -> int:
        """No journey runs any more: whatever is in flight will never be known. Returns how many there were.

        What followers have heard by now is theirs.
        """
        for feed in self._summed:
            feed.end()
        self._is_over = True
        cut = list(self._open.values())
        for operation in cut:
            operation.end(Outcome.UNKNOWN, error="stopped", t_end_s=None)
        return len(cut)

    def take(self, t0: ReleaseInstant, rows_max: int = _ALL) -> dict[str, pa.RecordBatch]:
        """A batch for each table that has new rows, of at most `rows_max` rows: a big one would stop the loop."""
        if self._told is not None:
            self._told.catch_up()
        self.buffers["histograms"].rows.extend(self._take_histograms())
        self.buffers["feed_stretches"].rows.extend(self._feed_log.take_stretches(t0))
        self.buffers["feed_delays"].rows.extend(self._feed_log.take_delays(t0, everything=self._is_over))
        batches = ((name, buffer.take(t0, rows_max)) for name, buffer in self.buffers.items())
        return {name: batch for name, batch in batches if batch is not None}


def prepare_arrow() -> None:
    """One thread is plenty for a process of the swarm. Arrow loads pandas when first asked for an array, which takes
    most of a second: better now than during the release."""
    pa.set_cpu_count(1)
    pa.array([0.0], from_pandas=True)
