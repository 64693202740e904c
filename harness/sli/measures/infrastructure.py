"""Indicators from the platform's own metrics. Of a counter, the increase during the run counts, across restarts."""

from __future__ import annotations

import numpy as np

from harness.sli import scraped
from harness.sli.measured import Measured, Observations

_NOT_EXPOSED = "the platform does not expose it"


def cache_hit_ratio(seen: Observations) -> Measured:
    """Share of the lookups in the platform's cache that found an entry."""
    grown = scraped.growth(seen.metrics, "target_cache_requests_total")
    outcome = grown.index.to_series().map(lambda labels: scraped.labels(labels).get("outcome", ""))
    hits, misses = float(grown[outcome == "hit"].sum()), float(grown[outcome == "miss"].sum())
    if hits + misses == 0:
        return Measured(None, 0, _NOT_EXPOSED if grown.empty else "nobody asked the cache")
    return Measured(hits / (hits + misses), int(hits + misses))


def db_write_latency_p99_ms(seen: Observations) -> Measured:
    """p99 of database writes from the histogram's buckets, interpolated within a bucket as Prometheus does."""
    grown = scraped.growth(seen.metrics, "target_db_write_seconds_bucket")
    edges = grown.index.to_series().map(lambda labels: float(scraped.labels(labels).get("le", "+Inf")))
    counts = grown.groupby(edges.to_numpy()).sum().sort_index()
    return histogram_quantile_ms(counts.index.to_numpy(dtype=float), counts.to_numpy(dtype=float), 0.99)


def histogram_quantile_ms(edges_s: np.ndarray, cumulative: np.ndarray, quantile: float) -> Measured:
    """A quantile in ms from cumulative bucket counts; a quantile beyond the last finite edge is given as that edge."""
    if len(edges_s) == 0 or cumulative[-1] <= 0:
        return Measured(None, 0, _NOT_EXPOSED if len(edges_s) == 0 else "nothing was written")
    total = int(cumulative[-1])
    rank = quantile * cumulative[-1]
    at = int(np.searchsorted(cumulative, rank, side="left"))
    if np.isinf(edges_s[at]):
        return Measured(float(edges_s[at - 1] * 1000) if at else None, total, "at least: beyond the last bucket")
    lower, below = (edges_s[at - 1], cumulative[at - 1]) if at else (0.0, 0.0)
    share = (rank - below) / (cumulative[at] - below)
    return Measured(float((lower + (edges_s[at] - lower) * share) * 1000), total)


def websocket_connections_max(seen: Observations) -> Measured:
    """The largest number of connections open at one time, over all feed nodes."""
    return _peak(seen, "target_websocket_connections")


def queue_depth_max(seen: Observations) -> Measured:
    """The largest number of fans waiting at one time."""
    return _peak(seen, "target_queue_depth")


def replica_lag_max_s(seen: Observations) -> Measured:
    """The longest time by which the replica was behind the primary."""
    samples = scraped.samples(seen.metrics, "target_replica_lag_seconds")
    if samples.empty:
        return Measured(None, 0, _NOT_EXPOSED)
    return Measured(float(samples["value"].max()), len(samples))


def _peak(seen: Observations, name: str) -> Measured:
    """The largest value at one time, summed over the sources."""
    totals = scraped.totals(seen.metrics, name)
    if totals.empty:
        return Measured(None, 0, _NOT_EXPOSED)
    return Measured(float(totals["value"].max()), len(scraped.samples(seen.metrics, name)))
