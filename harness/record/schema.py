"""What a run directory holds: the tables and documents, their columns and units.

All times are float64 seconds relative to T0 (the release instant), read from monotonic clocks; a row from before the
release has a negative time. `null` means "not known", never zero. Swarm, scraper and chaos write them; audit, sli and
reports only read them. A request belongs to the operation with the same `worker` and `op`, and to the user with the
same `kind` and `user`; `actor` is the name of that user in all tables.

    run.json            RunDocument    what was asked for, which platform ran, what load was delivered
    faults.json         FaultsDocument the faults, and what their canaries measured
    requests.parquet    REQUESTS       one row per HTTP request, stream connect or reconnect
    operations.parquet  OPERATIONS     the business history: one row per operation of one actor
    events.parquet      EVENTS         one row per event seen on a stream (queue positions, seat feed)
    generator.parquet   GENERATOR      the load generator's own health, one row per worker and second
    metrics.parquet     METRICS        the platform's metrics, scraped
    histograms.parquet  HISTOGRAMS     requests that were summed up; the reader turns them into rows again
    spans.parquet       SPANS          traced journeys that are kept: requests, with the platform's spans as children
    feed_stretches.parquet, feed_delays.parquet   of many followers of the seat feed: what is not in EVENTS row by row
    final_seats.parquet, final_orders.parquet, final_ledger.parquet, final_stock.parquet   the state at rest
    baseline_orders.parquet, baseline_stock.parquet, baseline_ledger.parquet   what there was before the release, on a
        platform of the user's own
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Final

import msgspec
import pyarrow as pa

SCHEMA_VERSION: Final = "gatecrash.record/5"
OWN_SOURCE: Final = "gatecrash"
"""The source of anomalies that say how the run ended, and of metrics that are not the platform's."""
BOT_ACTOR: Final = "bot-"
"""What the name of every actor that is a bot begins with, and of nobody else."""
LOCUST_KIND: Final = "locust"
"""The kind of the users of a locustfile, of whom no operation is known."""
NOT_DRAWN: Final = "not_drawn"
"""The error of a fan whom the queue turned away because lots were drawn and theirs was not among them."""
INVENTED_CODE: Final = "invented code"
"""What a join shows, in place of a ticket, whose access code was given to nobody."""
TURNED_AWAY: Final = "turned_away"
"""The error of a fan who gets no place: the access code, or the identity, has let another fan in."""
WITHHELD: Final = "accessible"
"""Why a fan is refused who asks for accessible seats without the need, or for a companion seat without its place."""
LOST_ON_PURPOSE: Final = "answer_lost_on_purpose"
"""In the value of a payment whose answer the rehearsal itself dropped: that it got none is not the platform's doing."""
AS_NOTED: Final = "as noted"
"""The key of a snapshot whose seats are those of another snapshot of the same point that the worker noted whole."""
OTHERS_HOLD: Final = ("release of another's hold", "purchase of another's hold")
"""How a probe tries what only the fan of a hold may do."""
PROBE_ACTOR: Final = "probe-"
"""What the name of every probe begins with, and of nobody else."""


class Outcome(StrEnum):
    """How an operation ended. A time-out or a cut connection is `unknown`: it may have taken effect."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Function(StrEnum):
    """The business operations of the history, with what their `key` and `value` mean.

    `value` is a JSON object; fields in brackets are absent when the operation did not end `ok`.
    """

    JOIN = "join"
    """key: fan. value: {[position: int | null, epoch: str, parked: bool], [ticket: str]}.
    parked: a ticket was given, queueing comes later. ticket: how the ticket was forged that a bot came with."""
    ENTER = "enter"
    """Exchange of the queue ticket for a pass. key: fan. value: {[admission_no: int, epoch: str]}.
    admission_no: the order in which the platform admitted. epoch: within which they count up; "" for one only."""
    HOLD = "hold"
    """key: the hold id, or "" when not ok. value: {seats: [str], [ttl_s: float, asked: [str]]}, or without seats
    {pool: str, quantity: int (asked for), [granted: int, ttl_s: float]}.
    seats: that were granted, else those that were asked for. asked: those, beside what was granted. declared: true of
    a fan who declared the need of an accessible seat.
    `fail` + error "conflict": somebody holds one; "limit": the identity would have more than it may; WITHHELD."""
    CHOOSE = "choose"
    """Where choosing keeps nothing. key and value: as of a hold. `fail`: as of a hold; an ok promises nothing."""
    RELEASE = "release"
    """key: hold id. value: {seats: [str]} or {pool: str, quantity: int}."""
    STOCK = "stock"
    """At what is left. key: "". value: {[pools: {pool: free | null}, prices_cents: {pool: int}, stale: bool]}."""
    PAY = "pay"
    """key: idempotency key. value: {hold_id, seats, [order_id, amount_cents, state: confirmed | pending],
    [declined_on_purpose: bool], [shown_cents: int], [card: str]}; without seats {pool: str, quantity: int,
    [bought: int]} instead. card: the name of the card, where each fan has one of their own.
    shown_cents: what the seats cost together, as the fan was shown when choosing them.
    `fail` + error "declined": the provider said no; "expired": the hold was gone; "limit": the identity would have more
    than it may; "conflict": where choosing keeps nothing, not so many are left. A 202 is ok with state pending."""
    ORDER = "order"
    """Look-up of an order. key: order id. value: {[state: pending | confirmed | declined | refunded | expired,
    seats: [str], pool: str, quantity: int, amount_cents: int, stale: bool]}. stale: the platform says that it may have
    moved on since.
    `fail` + error "missing": there is no such order."""
    SWEEP = "sweep"
    """After settling: hold then release one seat. key: seat. value: {}.
    `fail`: it could not be held. Most are unsold; a few are sold, and must not be granted."""
    LOOK = "look"
    """At the seat map. key: "". value: {[free: int, theirs: int, declared: bool, stale: bool, map: str, states: str,
    layout: str, accessible: {seat: wheelchair place}]}. free: seats that it shows free; theirs: those that this fan may
    have, where some are kept for a need; declared: as of a hold. map: names what it showed; states: that, at a worker's
    first look at it; layout: the names of the seats in the order of the states, and accessible: those that are, with
    the wheelchair place that each goes with, at a worker's first look. States and layout are packed, see
    `harness.record.seat_states`."""
    COUNT = "count"
    """At the free seats of each section. key: "". value: {[counts: str, free: {section: int}, stale: bool]}. counts:
    names what was shown; free: that, at a worker's first look at it. A seat of section S is called S-…."""
    PROBE = "probe"
    """A try to get a seat past the queue, "no pass" during the run too, the others after settling. key: how.
    value: {seats: [str], [status: int]}. `ok`: it worked, which it never should; with a status: it got in,
    and was refused only because of the seats.
    During the run: a try to release or to buy what another fan holds. key: one of OTHERS_HOLD. value: {seats: [str],
    hold_id: str}. `ok`: it worked, which it never should."""
    REUSE = "reuse"
    """At rest: a payment for another purchase under an idempotency key that was used. key: the idempotency key. value:
    {order_id: str (of the first purchase), seats: [str] (of the other), [answered_id: str, answered_seats: [str]],
    [read: str]}. read: the state in which a stranger was shown the first order.
    `fail`: refused, as it should be; `ok`: answered as if paid."""
    DRAW = "draw"
    """At the published draw of lots, before the opening and at rest. key: "". value: {[commitment: str, opens_at: float
    (unix s), seed: str | null, entries: [str] in the order of the line, where they are published]}."""


REQUESTS: Final = pa.schema(
    [
        pa.field("seq", pa.int64(), nullable=False),  # 0,1,2… per worker: a hole is a lost sample
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("user", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # fan, bot, lurker, spectator, operator, probe, or LOCUST_KIND
        pa.field("actor", pa.string(), nullable=False),  # fan id, "operator" …; "": not known (summed up)
        pa.field("step", pa.string(), nullable=False),  # see STEPS
        pa.field(
            "page", pa.string(), nullable=False
        ),  # the page that was asked for, in a step with several pages; else ""
        pa.field("method", pa.string(), nullable=False),  # GET POST DELETE SSE WS
        pa.field("t_intended_s", pa.float64(), nullable=False),  # when the user would have sent it
        pa.field("t_start_s", pa.float64(), nullable=False),  # first byte given to the socket
        pa.field("t_first_byte_s", pa.float64()),  # null: no byte came back
        pa.field("t_end_s", pa.float64(), nullable=False),
        pa.field("status", pa.int16(), nullable=False),  # 0: no response
        pa.field("outcome", pa.string(), nullable=False),  # Outcome
        pa.field("error", pa.string(), nullable=False),  # "" or one of ERRORS
        pa.field("response_bytes", pa.int64(), nullable=False),
        pa.field("attempt", pa.int16(), nullable=False),  # 1 for the first try of a step, 2 for its first retry …
        pa.field("op", pa.int64()),  # the operation of this worker to which the request belongs; null: none
        pa.field("overstated_ms", pa.float64()),  # the generator's own part of the response time; null: not measured
    ]
)
"""Service time = t_end_s − t_start_s. Response time = t_end_s − t_intended_s. outcome: ok = the answer is one the step
expects (a 409 to a hold is an ok request whose operation fails); fail = refused or an unexpected status; unknown = cut.
overstated_ms: how much later than meant the generator began, and how long after the kernel it had the answer.

kind: who sends. An operator reads the state at rest, sweeps seats and probes; its `user` is -1. What it does in a fan's
name is an operation of that fan, whose requests have the operator's name. Probes look at the seats at a steady pace
through the whole run, with a pass from an operator; their `user` is below -1. They buy nothing, and no indicator and no
figure of the sale counts them. Users of a locustfile are of the kind `locust`; their steps are the names of their
requests, their `user` is -1 where the event did not say whose the request was."""

STEPS: Final = (
    "queue_page",  # first request at T0
    "challenge",  # the challenge that must be solved before joining
    "join",
    "positions",  # the SSE connect; t_first_byte_s is the first event
    "enter",
    "venue",
    "seat_map",
    "section_counts",
    "stock",  # a look at what is left of the pools
    "hold",
    "choose",  # of seats or tickets, where choosing keeps nothing
    "release",
    "pay",
    "order",
    "feed",  # the WebSocket connect
    "settle",  # final reads and the sweep
)

ERRORS: Final = (
    "refused",
    "reset",
    "timeout",
    "protocol",
    "tls",
    "dns",
    "ports_exhausted",
    "fds_exhausted",
    "status",
    "too_large",
    "stopped",  # cut by the end of the run, not by the platform: outcome unknown, never counted against it
)

OPERATIONS: Final = pa.schema(
    [
        pa.field("op", pa.int64(), nullable=False),  # unique with worker
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("actor", pa.string(), nullable=False),  # fan id
        pa.field("identity", pa.string(), nullable=False),  # limits apply to it (several fans may share one)
        pa.field("function", pa.string(), nullable=False),  # Function
        pa.field("key", pa.string(), nullable=False),
        pa.field("value", pa.string(), nullable=False),  # JSON object, see Function
        pa.field("t_intended_s", pa.float64(), nullable=False),  # when the user meant to begin; a retry: the first try
        pa.field("t_invoke_s", pa.float64(), nullable=False),
        pa.field("t_complete_s", pa.float64()),  # null: never completed
        pa.field("outcome", pa.string(), nullable=False),  # Outcome
        pa.field("error", pa.string(), nullable=False),
        pa.field("retry_of", pa.int64()),  # op of the previous try
    ]
)

EVENTS: Final = pa.schema(
    [
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("user", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),  # fan, bot, lurker, spectator, operator, probe, or LOCUST_KIND
        pa.field("actor", pa.string(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),  # positions | feed
        pa.field("event", pa.string(), nullable=False),  # see EVENT_KINDS
        pa.field("t_s", pa.float64(), nullable=False),  # received
        pa.field("t_sent_s", pa.float64()),  # the platform's stamp, where it gives one (converted to T0 seconds)
        pa.field("epoch", pa.string(), nullable=False),  # "" where the event has none
        pa.field("seq", pa.int64()),  # feed sequence number
        pa.field("value", pa.int64()),  # positions: the position · seat: 0 free, 1 held, 2 sold · snapshot: seats in it
        # seat: the seat id · disconnect, refused: the error · snapshot: "" or AS_NOTED · else ""
        pa.field("key", pa.string(), nullable=False),
    ]
)

EVENT_KINDS: Final = (
    "connect",  # stream open; seq: the last sequence number the client asked to continue from
    "disconnect",
    "position",
    "paused",
    "sold_out",  # positions: nothing is left for now
    "admitted",
    "refused",  # positions: turned away for good; key: why, e.g. "not_drawn"
    # feed: complete state as of (epoch, seq); one row, then one "seat" row of the same seq per seat that is not free
    "snapshot",
    "seat",  # feed: one change
    "resync",  # feed: history is gone; a snapshot follows
    "score",
)

FEED_STRETCHES: Final = pa.schema(
    [
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("user", pa.int32(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("actor", pa.string(), nullable=False),
        pa.field("epoch", pa.string(), nullable=False),
        pa.field("seq_from", pa.int64(), nullable=False),  # the first change of the stretch
        pa.field("seq_to", pa.int64(), nullable=False),  # the last one
        pa.field("t_from_s", pa.float64(), nullable=False),  # when the first was received
        pa.field("t_to_s", pa.float64(), nullable=False),  # when the last was received
        pa.field("delay_ms_max", pa.float64()),  # from a change's stamp to its arrival; null: no stamps
    ]
)
"""An unbroken stretch of changes at one follower, compared where they arrived: each number from the first to the last
came once and in order, and meant the seat and the state that it meant when this worker first received it.

With many spectators the feeds of most are summed up so. Every other event of theirs is a row of EVENTS as always: each
connect, disconnect, resync, snapshot and score, and each change that does not follow the one before or says something
else. A change that the worker received for the first time is a row too, beside being part of its stretch, so EVENTS has
the whole log."""

FEED_DELAYS: Final = pa.schema(
    [
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("t_sent_s", pa.float64(), nullable=False),  # the second of the platform's stamp begins here
        pa.field("base_s", pa.float64(), nullable=False),  # one delay of this worker, which the others are told from
        pa.field("more_us", pa.int64(), nullable=False),  # how much longer: the largest value of the bucket; may be < 0
        pa.field("count", pa.int64(), nullable=False),
    ]
)
"""How long the changes of FEED_STRETCHES that are no rows took from their stamp to their arrival: so many were alike.
Left out are those from before the follower's present connection. See `harness.record.histogram`."""

GENERATOR: Final = pa.schema(
    [
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("t_s", pa.float64(), nullable=False),
        pa.field("loop_lag_ms_max", pa.float64(), nullable=False),  # over this second, sampled every 50 ms
        pa.field("loop_lag_ms_p99", pa.float64(), nullable=False),
        pa.field("cpu_percent", pa.float64(), nullable=False),  # 100: one core
        pa.field("rss_bytes", pa.int64(), nullable=False),
        pa.field("fds", pa.int32(), nullable=False),
        pa.field("fds_limit", pa.int32(), nullable=False),
        pa.field("users", pa.int32(), nullable=False),
        pa.field("samples", pa.int64(), nullable=False),  # request samples taken so far
        pa.field("ports", pa.int32()),  # in use, towards the server with the most connections; null: not counted
        pa.field("ports_limit", pa.int32()),  # size of the kernel's range; null: not known
    ]
)

METRICS: Final = pa.schema(
    [
        pa.field("t_s", pa.float64(), nullable=False),
        pa.field("source", pa.string(), nullable=False),  # booking | worker | feed-1 | feed-2 | payments
        pa.field("name", pa.string(), nullable=False),
        pa.field("labels", pa.string(), nullable=False),  # "dependency=redis,outcome=ok", keys sorted
        pa.field("value", pa.float64(), nullable=False),
    ]
)

SCRAPE_LATE: Final = "gatecrash_scrape_late_s"
"""A metric of OWN_SOURCE: a row for each round of the scraper, by how much that was late for no fault of the
platform's."""
MACHINE_BUSY: Final = "gatecrash_machine_busy_seconds_total"
"""A metric of OWN_SOURCE, in each round: how long the cores of this machine were not free, all together."""
MACHINE_CORES: Final = "gatecrash_machine_cores"
"""A metric of OWN_SOURCE, in each round: how many cores this machine has."""

HISTOGRAMS: Final = pa.schema(
    [
        pa.field("worker", pa.int16(), nullable=False),
        pa.field("t_s", pa.float64(), nullable=False),  # the second in which they were sent begins here
        pa.field("kind", pa.string(), nullable=False),
        pa.field("step", pa.string(), nullable=False),
        pa.field("method", pa.string(), nullable=False),
        pa.field("status", pa.int16(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("error", pa.string(), nullable=False),
        pa.field("attempt", pa.int16(), nullable=False),
        pa.field("service", pa.list_(pa.int16()), nullable=False),  # the numbers of buckets
        pa.field("response", pa.list_(pa.int16()), nullable=False),  # the same
        pa.field("count", pa.list_(pa.int32()), nullable=False),  # of requests with these two
    ]
)
"""The requests of one second and step that ended alike, as a histogram of their pairs of service and response time. The
same second may have several. See `harness.record.histogram`."""

SPANS: Final = pa.schema(
    [
        pa.field("trace_id", pa.string(), nullable=False),  # one journey, 32 hex digits
        pa.field("span_id", pa.string(), nullable=False),  # 16 hex digits
        pa.field("parent_id", pa.string(), nullable=False),  # "": none
        pa.field("service", pa.string(), nullable=False),  # swarm | booking | worker | feed | payments
        pa.field("node", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),  # of the swarm: the step
        pa.field("kind", pa.string(), nullable=False),  # client | server | internal
        pa.field("t_start_s", pa.float64(), nullable=False),
        pa.field("t_end_s", pa.float64(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # ok | error
        pa.field("attributes", pa.string(), nullable=False),  # a JSON object
    ]
)

FINAL_SEATS: Final = pa.schema(
    [
        pa.field("seat", pa.string(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # free | held | sold
    ]
)
"""The public seat map at rest: one row for every seat of the venue."""

FINAL_ORDERS: Final = pa.schema(
    [
        pa.field("order_id", pa.string(), nullable=False),
        pa.field("fan", pa.string(), nullable=False),
        pa.field("seat", pa.string(), nullable=False),  # one row per seat of the order
        pa.field("state", pa.string(), nullable=False),  # pending | confirmed | declined | refunded | expired
        pa.field("amount_cents", pa.int64(), nullable=False),  # of this row
        pa.field("idempotency_key", pa.string(), nullable=False),
        pa.field("pool", pa.string(), nullable=False),  # "": a seat
        pa.field("quantity", pa.int32(), nullable=False),  # tickets in this row
    ]
)
"""The operator's order export at rest. Without seats one row per order and pool."""

FINAL_STOCK: Final = pa.schema(
    [
        pa.field("pool", pa.string(), nullable=False),
        pa.field("free", pa.int64()),  # null: the platform does not show it
        pa.field("held", pa.int64()),
        pa.field("sold", pa.int64()),
    ]
)
"""What is left of each pool at rest, as the operator sees it."""

FINAL_LEDGER: Final = pa.schema(
    [
        pa.field("charge_id", pa.string(), nullable=False),
        pa.field("idempotency_key", pa.string(), nullable=False),  # the one the platform gave the provider
        pa.field("order_id", pa.string(), nullable=False),
        pa.field("entry", pa.string(), nullable=False),  # capture | refund | decline
        pa.field("amount_cents", pa.int64(), nullable=False),
        pa.field("card", pa.string()),  # its name, as fans paid with it; null: the ledger does not say
    ]
)
"""The payment provider's own ledger at rest: one row per entry."""

TABLES: Final[dict[str, pa.Schema]] = {
    "requests": REQUESTS,
    "operations": OPERATIONS,
    "events": EVENTS,
    "generator": GENERATOR,
    "metrics": METRICS,
    "histograms": HISTOGRAMS,
    "feed_stretches": FEED_STRETCHES,
    "feed_delays": FEED_DELAYS,
    "spans": SPANS,
    "final_seats": FINAL_SEATS,
    "final_orders": FINAL_ORDERS,
    "final_ledger": FINAL_LEDGER,
    "final_stock": FINAL_STOCK,
    "baseline_orders": FINAL_ORDERS,
    "baseline_stock": FINAL_STOCK,
    "baseline_ledger": FINAL_LEDGER,
}


class Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base class of the documents: frozen, without unknown fields."""


class Phase(Struct, frozen=True):
    """One phase of the rehearsal: raise, arm, release, observe, settle."""

    name: str
    t_start_s: float
    t_end_s: float


class WorkerSummary(Struct, frozen=True):
    """What one worker delivered. Skew is actual first send − T0, in ms, over its released users."""

    worker: int
    host: str
    armed: int
    released: int
    skew_ms_min: float | None
    skew_ms_p50: float | None
    skew_ms_p99: float | None
    skew_ms_max: float | None
    clock_offset_ms: float
    clock_uncertainty_ms: float
    requests_sent: int
    samples_recorded: int
    lost: bool = False


class CrashSummary(Struct, frozen=True):
    """Journeys that crashed at one place of an adapter's or a journey's code. `what`: the first error, with its type.

    `where`: FILE:LINE. `kind`: of the users, e.g. fan. `step`: the step of the journey in which the first crash
    happened.
    """

    where: str
    what: str
    kind: str
    step: str
    count: int


class CutSummary(Struct, frozen=True):
    """How many users of one kind were at one step of their journey when the end of the run cut it."""

    kind: str
    step: str
    count: int


class LoadSummary(Struct, frozen=True):
    """The load that the swarm was asked for, and the load that it delivered. Skew in ms, over all workers together.

    `exhausted`: samples that failed because the load generator had no port or file descriptor left. `summed`:
    samples that are in the record as histograms, not as rows of their own.

    `window_delivered_s`: from the first to the last user's first send. `unfinished`: users whose journey was cut by the
    end of the run; `cut`: at which steps.
    """

    users_asked: int
    users_armed: int
    users_released: int
    window_asked_s: float
    window_delivered_s: float | None
    skew_ms_p50: float | None
    skew_ms_p99: float | None
    skew_ms_max: float | None
    requests_sent: int
    samples_recorded: int
    unfinished: int
    workers: tuple[WorkerSummary, ...]
    skew_ms_min: float | None = None
    exhausted: int = 0
    summed: int = 0
    crashes: tuple[CrashSummary, ...] = ()
    cut: tuple[CutSummary, ...] = ()


class Anomaly(Struct, frozen=True):
    """An unplanned event that a reader must know of: a dead process, a table that is not whole.

    `is_death`: `source` is a process, of the stack or of ours, that died without having been told to.
    """

    t_s: float | None
    source: str
    text: str
    is_death: bool = False


class TraceSummary(Struct, frozen=True):
    """How many journeys carried a traceparent, and what was kept of their spans, see `harness.record.collecting.tail`.

    `spans_left_out`: of journeys that were not kept. `spans_lost`: that the platform's processes had no room for.
    """

    traced: int
    kept: int
    spans_kept: int
    spans_left_out: int = 0
    spans_lost: int = 0


class ProcessInfo(Struct, frozen=True):
    """One process of the stack under test."""

    name: str
    pid: int
    address: str = ""


class SeatMapFacts(Struct, frozen=True):
    """What the platform said about its seat map when the map was read at rest; null or "" when it did not say.

    `capacity`: seats in the venue's published layout. `epoch`, `seq`: the point of the seat feed that the map shows.
    """

    capacity: int | None = None
    epoch: str = ""
    seq: int | None = None


class SelfTestSummary(Struct, frozen=True):
    """The result of the last self-test of the audit, for the report. `began`: RFC 3339.

    `missed`: planted bugs that were not caught, because the audit missed them or because their run could not be judged.
    """

    version: str
    began: str
    took_s: float
    bugs_known: int
    bugs_planted: int
    bugs_caught: int
    missed: tuple[str, ...]
    clean_runs: int
    false_alarms: int
    passed: bool

    @property
    def whole(self) -> bool:
        """Whether every known bug was planted, and the clean system was run too."""
        return self.bugs_planted == self.bugs_known and self.clean_runs > 0

    @property
    def sentence(self) -> str:
        """The result in words."""
        day, _, clock = self.began.partition("T")
        found = f"{self.bugs_caught} of {self.bugs_planted} planted bugs caught, {self.false_alarms} false alarms"
        missed = f"; not caught: {', '.join(self.missed)}" if self.missed else ""
        known = "" if self.whole else f" (there are {self.bugs_known} bugs)"
        return f"{found} in {self.clean_runs} clean runs{missed}{known}; {day} {clock[:5]} UTC, version {self.version}"


class TableSeal(Struct, frozen=True):
    """The seal of one table as the run wrote it."""

    rows: int
    sha256: str


class PluginVersion(Struct, frozen=True):
    """A plugin of the group `gatecrash.plugins`: its name, the package that it comes in, and that one's version.

    `sources`: a digest of its sources.
    """

    name: str
    package: str
    version: str
    sources: str = ""

    @property
    def in_words(self) -> str:
        """The plugin with its package."""
        return f"{self.name} ({self.package} {self.version})"


class RunDocument(Struct, frozen=True):
    """run.json. Written at the start with `complete=False`; rewritten whole, atomically, at each phase and the end.

    When the run is over it is sealed, see `harness.record.seal`: `tables` has a seal for each table that was written,
    `faults_sha256` is that of faults.json ("" when none was written), `sealed` is the seal of this document without
    itself, with its kind before it: `sha256:…`, or `hmac-sha256:…` when the run had a key.
    """

    schema: str
    run_id: str
    scenario_name: str
    scenario: dict[str, object]  # with its defaults, as plain data: the record is readable without the scenario's file
    seed: int
    t0: str | None  # RFC 3339, wall clock, for people
    command: tuple[str, ...]
    versions: dict[str, str]
    capabilities: tuple[str, ...]  # of the platform adapter: "order_export", "ledger_export", "seats", "feed", …
    phases: tuple[Phase, ...] = ()
    load: LoadSummary | None = None
    anomalies: tuple[Anomaly, ...] = ()
    stack: str = "embedded"
    processes: tuple[ProcessInfo, ...] = ()
    journey_digest: str = ""  # sha256 over the seeded choices of all users: same seed, same journeys, same digest
    clock_offsets_ms: dict[str, float] = {}
    complete: bool = False
    seat_map_at_rest: SeatMapFacts | None = None
    at_rest: bool | None = None  # whether the platform said so when the final reads ended; null: it was not asked
    unrest: tuple[str, ...] = ()  # why it was not at rest, one line each
    foreign_owners: str = ""  # one sentence where the export gives fans' orders to people who are no fans of the run
    selftest: SelfTestSummary | None = None  # the last one of this version; null: there was none
    traces: TraceSummary | None = None  # null: nothing was traced, or the run ended early
    plugins: tuple[PluginVersion, ...] = ()  # those that were installed; the record is judged by them and by no other
    tables: dict[str, TableSeal] = {}
    faults_sha256: str = ""
    control_sealed: str = ""  # `sealed` of the control of a paired run; "": no control was finished
    sealed: str = ""  # "": the run was never finished

    def has_plugin(self, name: str) -> bool:
        """Whether the run was rehearsed with this plugin; "" is gatecrash itself."""
        return not name or any(one.name == name for one in self.plugins)


class CanarySample(Struct, frozen=True):
    """One probe of a canary: `state` is what the probe saw, e.g. ok | refused | hung | slow | dropped."""

    t_s: float
    state: str
    latency_ms: float | None = None


class RunbookTimes(Struct, frozen=True):
    """What a person did about a fault of `drill --rehearse-runbook`. Times in s after T0; null: it did not happen.

    `mitigated_s`: when the person said so and the fault was undone. `said`: what the person did, in their own words.
    `within_s`: how long the drill waited before it undid the fault itself.
    """

    within_s: float
    acknowledged_s: float | None = None
    mitigated_s: float | None = None
    said: str = ""


class FaultRun(Struct, frozen=True):
    """One experiment as it was carried out. Times in s after T0; null: it did not happen.

    The conductor acted from t_requested_s to t_heal_requested_s; the canary saw the fault from t_effective_s to
    t_healed_s. The fault was proven as asked when both lasted for `asked_s`, give or take `tolerance_s`; null in a
    record that does not say.
    """

    experiment: str
    component: str
    kind: str
    injector: str
    hypothesis: str
    runbook: str
    t_requested_s: float | None
    t_effective_s: float | None
    t_heal_requested_s: float | None
    t_healed_s: float | None
    proven: bool
    measured: dict[str, float] = {}  # e.g. {"latency_ms_p50": 8003.1} or {"dropped": 50, "open_before": 100}
    samples: tuple[CanarySample, ...] = ()
    error: str = ""  # why it was not injected, proven or healed
    definition: dict[str, object] = {}  # the experiment as read from its file; its expectations are judged by it
    asked_s: float | None = None
    tolerance_s: float | None = None
    runbook_times: RunbookTimes | None = None  # null: nobody rehearsed the runbook

    @property
    def may_be_in_force_s(self) -> tuple[float, float]:
        """From when to when it may have been in force; from infinity on when it never was."""
        end_s = self.t_heal_requested_s if self.t_healed_s is None else self.t_healed_s
        begin_s = math.inf if self.t_requested_s is None else self.t_requested_s
        return begin_s, math.inf if end_s is None else end_s


class FaultsDocument(Struct, frozen=True):
    """faults.json."""

    schema: str
    faults: tuple[FaultRun, ...]
