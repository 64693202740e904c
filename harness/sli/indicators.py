"""The indicators by name. Scenario files set objectives on these names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Literal

from harness.record.reader import Record
from harness.sli import buyers, conflicts, fairness, funnel, infrastructure, latency
from harness.sli.draws import Draws
from harness.sli.measured import IndicatorSpec, IndicatorValue, Measured, Observations

_STEPS: Final = {"join": "join", "seat_map": "seat map", "hold": "hold", "pay": "payment"}
_WAIT: Final = "From when the fan meant to send to the last byte; refusals left out, time-outs counted as waited."


def _drawn(
    name: str,
    title: str,
    unit: str,
    better: Literal["lower", "higher"],
    description: str,
    source: str,
    draws: Callable[[Observations], Draws],
) -> IndicatorSpec:
    """An indicator that is a percentile or a share of what was observed."""
    return IndicatorSpec(name, title, unit, better, description, source, lambda seen: draws(seen).measured, draws)


def _response(step: str, quantile: float) -> Callable[[Observations], Draws]:
    return partial(_step_response, step, quantile)


def _step_response(step: str, quantile: float, seen: Observations) -> Draws:
    return latency.response_draws(latency.in_window(seen.requests, step), quantile)


def _step_indicators() -> tuple[IndicatorSpec, ...]:
    return tuple(
        _drawn(
            f"{step}_response_p{percent}_ms",
            f"{words.capitalize()} response p{percent}",
            "ms",
            "lower",
            _WAIT,
            "requests",
            _response(step, percent / 100),
        )
        for step, words in _STEPS.items()
        for percent in (50, 95, 99)
    )


_ALL: Final = (
    IndicatorSpec(
        "queue_admission_rate_per_s",
        "Queue admission rate",
        "1/s",
        "higher",
        "Fans admitted per second, from the first until 95 % of those who asked to join were in; 0 when nobody was.",
        "operations",
        fairness.queue_admission_rate_per_s,
    ),
    IndicatorSpec(
        "bot_share_of_seats",
        "Seats that bots got",
        "ratio",
        "lower",
        "Seats confirmed to bots, of all seats confirmed to anybody. Bots count in no other indicator.",
        "operations",
        fairness.bot_share_of_seats,
    ),
    _drawn(
        "checkout_completion_ratio",
        "Checkout completion",
        "ratio",
        "higher",
        "Fans told that their order is confirmed, of those let in who wanted to buy and for whom a seat was left.",
        "operations, final_seats",
        buyers.checkout_completion_ratio,
    ),
    _drawn(
        "empty_handed_ratio",
        "Fans who went empty-handed",
        "ratio",
        "lower",
        "Fans who wanted to buy and were never told that they have a ticket, of all who wanted to.",
        "operations",
        buyers.empty_handed_ratio,
    ),
    _drawn(
        "payment_failure_ratio",
        "Payment failures",
        "ratio",
        "lower",
        'Purchases with a good card that never got a yes or an "in progress".',
        "operations",
        funnel.payment_failure_ratio,
    ),
    _drawn(
        "time_to_first_position_p95_s",
        "Time to first position p95",
        "s",
        "lower",
        "From when the fan meant to open the queue page to the first position seen.",
        "requests, events",
        latency.time_to_first_position_p95_s,
    ),
    _drawn(
        "queue_page_response_p99_ms",
        "Queue page response p99",
        "ms",
        "lower",
        _WAIT,
        "requests",
        _response("queue_page", 0.99),
    ),
    *_step_indicators(),
    _drawn(
        "hold_expiry_ratio",
        "Holds that ran out",
        "ratio",
        "lower",
        "Holds neither paid for, declined nor released, of all that could run out during the run.",
        "operations",
        funnel.hold_expiry_ratio,
    ),
    _drawn(
        "contention_ratio",
        "Holds lost to somebody faster",
        "ratio",
        "lower",
        "Holds of seats that another was granted after the fan's map was asked for, of all granted or conflicted.",
        "operations",
        conflicts.contention_ratio,
    ),
    _drawn(
        "stale_map_ratio",
        "Holds on a stale map",
        "ratio",
        "lower",
        "Holds of seats that were taken already when the fan's map was asked for, of all granted or conflicted.",
        "operations",
        conflicts.stale_map_ratio,
    ),
    _drawn(
        "error_ratio",
        "Errors",
        "ratio",
        "lower",
        "Requests refused, cut off or timed out, of all before settling.",
        "requests",
        funnel.error_ratio,
    ),
    _drawn(
        "feed_freshness_p99_ms",
        "Feed freshness p99",
        "ms",
        "lower",
        "From a seat's change to its arrival at a connected follower.",
        "events",
        latency.feed_freshness_p99_ms,
    ),
    _drawn(
        "reconnect_recovery_p95_s",
        "Reconnect recovery p95",
        "s",
        "lower",
        "From a follower's lost connection to its next open one.",
        "events",
        latency.reconnect_recovery_p95_s,
    ),
    IndicatorSpec(
        "cache_hit_ratio",
        "Cache hits",
        "ratio",
        "higher",
        "Requests answered by the platform's cache, of all that asked it.",
        "metrics",
        infrastructure.cache_hit_ratio,
    ),
    IndicatorSpec(
        "db_write_latency_p99_ms",
        "Database write p99",
        "ms",
        "lower",
        "From the platform's histogram of database writes.",
        "metrics",
        infrastructure.db_write_latency_p99_ms,
    ),
    IndicatorSpec(
        "websocket_connections_max",
        "WebSocket connections, most",
        "connections",
        "higher",
        "Most feed connections open at one time, over all feed nodes.",
        "metrics",
        infrastructure.websocket_connections_max,
    ),
    IndicatorSpec(
        "queue_depth_max",
        "Queue depth, most",
        "fans",
        "lower",
        "Most fans waiting at one time.",
        "metrics",
        infrastructure.queue_depth_max,
    ),
    IndicatorSpec(
        "replica_lag_max_s",
        "Replica lag, most",
        "s",
        "lower",
        "Furthest that the replica was behind the primary.",
        "metrics",
        infrastructure.replica_lag_max_s,
    ),
)
INDICATORS: Final[dict[str, IndicatorSpec]] = {spec.name: spec for spec in _ALL}


def measure(record: Record) -> tuple[IndicatorValue, ...]:
    """Every indicator of the run, in the order of the registry; the value is null where there were no samples."""
    seen = Observations(record)
    return tuple(_value(spec, spec.measure(seen)) for spec in INDICATORS.values())


def _value(spec: IndicatorSpec, measured: Measured) -> IndicatorValue:
    return IndicatorValue(spec.name, measured.value, spec.unit, measured.samples, measured.note)
