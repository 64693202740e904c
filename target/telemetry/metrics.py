"""The platform's Prometheus metrics, each defined once.

`multiprocess_mode` says how the figures of several worker processes are combined, see target/telemetry/exposition.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

_SAMPLES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}

disable_created_metrics()  # type: ignore[no-untyped-call]


def _counter(name: str, text: str, label: str, values: tuple[str, ...]) -> Counter:
    """A counter that shows each value of its label from the start, so that growth from zero can be seen."""
    counter = Counter(name, text, [label])
    for value in values:
        counter.labels(value)
    return counter


BREAKER_STATE: Final = Gauge(
    "target_breaker_state", "0 closed, 1 half-open, 2 open", ["dependency", "shard"], multiprocess_mode="livemax"
)
QUEUE_DEPTH: Final = Gauge("target_queue_depth", "Fans waiting", ["event"], multiprocess_mode="livemostrecent")
BOT_CHECKS: Final = Counter("target_bot_checks", "Joins and tickets looked at", ["control", "outcome"])
for _control, _outcomes in {
    "challenge": ("passed", "refused"),
    "device": ("passed", "refused", "uncounted"),
    "code": ("refused",),
    "ticket": ("passed", "refused"),
}.items():
    for _outcome in _outcomes:
        BOT_CHECKS.labels(_control, _outcome)
ADMISSIONS: Final = Counter("target_admissions", "Fans let in")
ADMISSION_RATE: Final = Gauge("target_admission_rate_per_s", "Fans let in per second, as decided now", ["event"])
CONFLICT_RATIO: Final = Gauge("target_conflict_ratio", "Share of recent holds that met a taken seat", ["event"])
SHOW_RATIO: Final = Gauge("target_show_ratio", "Share of recent admissions that were taken up", ["event"])
NO_SHOWS: Final = Counter("target_no_shows", "Admissions that ran out unused", ["event"])
ABANDONED: Final = Counter("target_abandoned_places", "Places passed over: their fans were silent", ["event"])
HOLDS: Final = _counter("target_holds", "Seat holds asked for", "outcome", ("ok", "conflict", "refused"))
HOLD_TRANSACTIONS: Final = _counter(
    "target_hold_transactions",
    "Optimistic transactions on seats; an aborted one is tried again",
    "outcome",
    ("done", "aborted", "given_up"),
)
HOLD_EXPIRIES: Final = Counter("target_hold_expiries", "Holds that ended unpaid and gave their seats back")
CACHE_REQUESTS: Final = Counter("target_cache_requests", "Cache look-ups", ["cache", "outcome"])
CACHE_REFILLS: Final = Counter("target_cache_refills", "Times that a cache asked its source", ["cache"])
DB_WRITE_SECONDS: Final = Histogram(
    "target_db_write_seconds",
    "Writes to the primary",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0),
)
DB_POOL_BUSY_SECONDS: Final = Counter(
    "target_db_pool_busy_seconds", "Time that connections of a pool were in use", ["server", "shard"]
)
DB_POOL_CONNECTIONS: Final = Gauge(
    "target_db_pool_connections", "Connections that a pool may have", ["server", "shard"], multiprocess_mode="livesum"
)
BROWSE_READS: Final = _counter(
    "target_browse_reads", "Reads of what may be old, by the server that answered", "source", ("replica", "primary")
)
REPLICA_LAG_SECONDS: Final = Gauge(
    "target_replica_lag_seconds",
    "Age of the newest write that the replica has",
    ["shard"],
    multiprocess_mode="livemostrecent",
)
WEBSOCKET_CONNECTIONS: Final = Gauge("target_websocket_connections", "Open feed sockets", multiprocess_mode="livesum")
FEED_BEHIND: Final = Gauge(
    "target_feed_behind", "Feed sockets that have not been told everything yet", ["event"], multiprocess_mode="livesum"
)
FEED_OPENINGS: Final = _counter(
    "target_feed_openings", "What feed clients were told first", "kind", ("snapshot", "delta", "resync")
)
FEED_REFUSED: Final = _counter(
    "target_feed_refused", "Feed clients told to come back later", "reason", ("rate", "full")
)
FEED_DROPPED: Final = _counter(
    "target_feed_dropped", "Feed clients that were too slow", "reason", ("history", "stalled")
)
FEED_DELAY_SECONDS: Final = Histogram(
    "target_feed_delay_seconds",
    "From a seat's change until all sockets of a node were handed it",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0),
)
TURNS_AWAITED: Final = Gauge(
    "target_turns_awaited", "Requests of the crowd that wait for their turn", multiprocess_mode="livesum"
)
SSE_CONNECTIONS: Final = Gauge("target_sse_connections", "Open position streams", multiprocess_mode="livesum")
PAYMENTS: Final = _counter(
    "target_payments",
    "Calls to the provider that move money, by how they ended",
    "outcome",
    ("captured", "authorised", "declined", "voided", "refunded", "timeout", "error"),
)
ORDERS: Final = _counter(
    "target_orders",
    "Orders, by the state they came to",
    "state",
    ("pending", "confirmed", "declined", "refunded", "expired"),
)
WEBHOOKS: Final = _counter(
    "target_webhooks", "Webhooks of the payment provider", "outcome", ("accepted", "repeated", "refused")
)
FALLBACK_KINDS: Final = (
    "ticket_while_redis_down",
    "paused_stream",
    "stale_seat_map",
    "refused_hold",
    "checkout_without_redis",
    "stale_order",
    "parked_checkout",
    "pending_payment",
)
"""See target/runtime/fallbacks.py."""
FALLBACKS: Final = _counter("target_fallbacks", "Answers given without a dependency", "kind", FALLBACK_KINDS)
FALLBACK_IN_FORCE: Final = Gauge(
    "target_fallback_in_force", "1 while its breaker is not closed", ["kind", "shard"], multiprocess_mode="livemax"
)
CHECKOUTS_JOURNALED: Final = Gauge(
    "target_checkouts_journaled", "Parked checkouts kept on disk beside Redis", multiprocess_mode="livesum"
)
ORDERS_PARKED: Final = Gauge(
    "target_orders_parked", "Checkouts waiting for the primary to come back", multiprocess_mode="livemostrecent"
)


def names_of(*parts: Iterable[object]) -> dict[str, tuple[str, ...]]:
    """Name of each sample of the metrics among these → its labels."""
    found: dict[str, tuple[str, ...]] = {}
    for metric in (one for part in parts for one in part if isinstance(one, Counter | Gauge | Histogram)):
        [family] = metric.describe()
        ends = _SAMPLES[family.type]
        labels = tuple(metric._labelnames)
        found |= {f"{family.name}{end}": (*labels, "le") if end == "_bucket" else labels for end in ends}
    return found
