"""The indicators by name. Scenario files set objectives on these names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from harness.record.reader import Record
from harness.record.verdict import UNAUDITED
from harness.registry import indicators as registry
from harness.registry.capabilities import in_words
from harness.registry.indicators import PERCENTILES, STEPS, Indicator
from harness.sli.measured import IndicatorValue, Measured, Observations, of_locustfile
from harness.sli.measures import buyers, conflicts, fairness, funnel, infrastructure, latency, stale_stock, verbs
from harness.sli.samples import Samples


class IndicatorSpec(Indicator, frozen=True, kw_only=True):
    """An indicator with its measure.

    `samples`: the samples whose percentile or share it is; null when it is a single figure of the whole run.
    """

    measure: Callable[[Observations], Measured]
    samples: Callable[[Observations], Samples] | None = None


def specified(name: str, measure: Callable[[Observations], Measured]) -> IndicatorSpec:
    """Join the registry's indicator of that name with a measure that gives one figure for the whole run."""
    return IndicatorSpec(**msgspec.structs.asdict(registry.INDICATORS[name]), measure=measure)


def sampled(name: str, samples: Callable[[Observations], Samples]) -> IndicatorSpec:
    """Join the registry's indicator of that name with the samples whose percentile or share it is."""
    return IndicatorSpec(
        **msgspec.structs.asdict(registry.INDICATORS[name]),
        measure=lambda seen: samples(seen).measured,
        samples=samples,
    )


def _response(step: str, quantile: float) -> Callable[[Observations], Samples]:
    return lambda seen: verbs.verb_samples(seen, step, quantile)


def _page_response(seen: Observations) -> Samples:
    return latency.response_samples(latency.in_window(seen.requests, "queue_page"), 0.99)


def _step_indicators() -> tuple[IndicatorSpec, ...]:
    return tuple(
        sampled(f"{step}_response_p{percent}_ms", _response(step, percent / 100))
        for step in STEPS
        for percent in PERCENTILES
    )


def _request_response(quantile: float) -> Callable[[Observations], Samples]:
    return lambda seen: latency.response_samples(latency.in_window(of_locustfile(seen.requests), ""), quantile)


def _request_indicators() -> tuple[IndicatorSpec, ...]:
    return tuple(
        sampled(f"request_response_p{percent}_ms", _request_response(percent / 100)) for percent in PERCENTILES
    )


_ALL: Final = (
    specified("queue_admission_rate_per_s", fairness.queue_admission_rate_per_s),
    specified("bot_share_of_seats", fairness.bot_share_of_seats),
    sampled("checkout_completion_ratio", buyers.checkout_completion_ratio),
    sampled("empty_handed_ratio", buyers.empty_handed_ratio),
    sampled("payment_failure_ratio", funnel.payment_failure_ratio),
    sampled("time_to_first_position_p95_s", latency.time_to_first_position_p95_s),
    sampled("queue_page_response_p99_ms", _page_response),
    *_step_indicators(),
    *_request_indicators(),
    sampled("hold_expiry_ratio", funnel.hold_expiry_ratio),
    sampled("contention_ratio", conflicts.contention_ratio),
    sampled("stale_map_ratio", conflicts.stale_map_ratio),
    sampled("stale_stock_ratio", stale_stock.stale_stock_ratio),
    sampled("error_ratio", funnel.error_ratio),
    sampled("feed_freshness_p99_ms", latency.feed_freshness_p99_ms),
    sampled("reconnect_recovery_p95_s", latency.reconnect_recovery_p95_s),
    specified("cache_hit_ratio", infrastructure.cache_hit_ratio),
    specified("db_write_latency_p99_ms", infrastructure.db_write_latency_p99_ms),
    specified("websocket_connections_max", infrastructure.websocket_connections_max),
    specified("queue_depth_max", infrastructure.queue_depth_max),
    specified("replica_lag_max_s", infrastructure.replica_lag_max_s),
)
INDICATORS: Final[dict[str, IndicatorSpec]] = {spec.name: spec for spec in _ALL}


def measure(record: Record, seen: Observations | None = None) -> tuple[IndicatorValue, ...]:
    """Every indicator of the run, in the order of the registry; the value is null where there were no samples.

    An indicator that the platform cannot show is left out, unless the scenario sets an objective on it. `seen`: the
    record's tables, where the caller has already read them.
    """
    seen = seen or Observations(record)
    objectives = record.run.scenario.get("objectives")
    asked = objectives if isinstance(objectives, dict) else {}
    values = (_value(spec, seen) for spec in INDICATORS.values() if record.run.has_plugin(spec.plugin))
    return tuple(value for value, shown in values if shown or value.name in asked)


def _value(spec: IndicatorSpec, seen: Observations) -> tuple[IndicatorValue, bool]:
    """The value of one indicator, and whether the platform can show it."""
    if spec.name.startswith("request_response") and not seen.has_no_adapter:
        return IndicatorValue(spec.name, None, spec.unit, 0, "no users of a locustfile came"), False
    if seen.has_no_adapter and not spec.of_requests and not spec.is_fed:
        return IndicatorValue(spec.name, None, spec.unit, 0, UNAUDITED), False
    hidden = [capability for capability in spec.needs if capability not in seen.record.run.capabilities]
    if hidden:
        return IndicatorValue(spec.name, None, spec.unit, 0, f"the platform does not show: {', '.join(hidden)}"), False
    if foreign := [one for one in spec.unless if one in seen.record.run.capabilities]:
        return IndicatorValue(spec.name, None, spec.unit, 0, f"the platform declares {in_words(foreign)}"), False
    return _measured(spec, spec.measure(seen)), not (spec.is_fed and seen.is_unfed(spec.name))


def _measured(spec: IndicatorSpec, measured: Measured) -> IndicatorValue:
    return IndicatorValue(spec.name, measured.value, spec.unit, measured.samples, measured.note)
