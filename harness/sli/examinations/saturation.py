"""Measures how near each resource came to its limit: processes, the machine, connections to a database.

A resource that is in use all the time is saturated: what comes then waits (Gregg's USE method). Each figure is the
highest utilisation over `WINDOW_S`, so that a short peak does not count and a long one cannot hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd

from harness.record.schema import MACHINE_BUSY, MACHINE_CORES
from harness.record.verdict import Figure
from harness.sli import scraped
from harness.sli.examinations.figures import figure
from harness.sli.measured import Observations

WINDOW_S: Final = 3.0
_CPU: Final = "process_cpu_seconds_total"
_POOL_BUSY: Final = "target_db_pool_busy_seconds_total"
_POOL_SIZE: Final = "target_db_pool_connections"


def saturation(seen: Observations) -> Iterator[Figure]:
    """The utilisation of each resource that the record shows, the highest first, as a share of its limit."""
    yield from sorted((*_processes(seen), *_machine(seen), *_pools(seen)), key=lambda one: -(one.value or 0.0))


def _processes(seen: Observations) -> Iterator[Figure]:
    for source, own in scraped.increments(seen.metrics, _CPU).groupby("source"):
        yield _utilisation(f"cpu_{source}", f"CPU of {source}, of one core", own, 1.0)


def _machine(seen: Observations) -> Iterator[Figure]:
    cores = scraped.samples(seen.metrics, MACHINE_CORES)["value"]
    if not cores.empty:
        count = float(cores.iloc[-1])
        busy = scraped.increments(seen.metrics, MACHINE_BUSY)
        yield _utilisation("machine", f"CPU of gatecrash's machine, of its {count:g} cores", busy, count)


def _pools(seen: Observations) -> Iterator[Figure]:
    busy, size = scraped.increments(seen.metrics, _POOL_BUSY), scraped.samples(seen.metrics, _POOL_SIZE)
    limits = size.groupby(["source", "labels"])["value"].last()
    for (source, labels), own in busy.groupby(["source", "labels"]):
        limit = float(limits.get((source, labels), 0.0))
        if limit > 0:
            named = scraped.labels(str(labels))
            server, shard = named.get("server", ""), named.get("shard", "")
            of = f"{server}, shard {shard}" if shard else server
            title = f"Connections of {source} to the {of}, of its {limit:g}"
            yield _utilisation(f"pool_{source}_{server}{shard}", title, own, limit)


def _utilisation(name: str, title: str, grown: pd.DataFrame, limit: float) -> Figure:
    """The share of the limit that was used in the busiest `WINDOW_S`. `grown`: seconds of use since the last scrape."""
    by_time = grown.groupby("t_s")["grown"].sum()
    t_s, used_s = by_time.index.to_numpy(dtype=float), np.cumsum(by_time.to_numpy(dtype=float))
    before = np.searchsorted(t_s, t_s - WINDOW_S, side="right") - 1
    whole = before >= 0
    if not whole.any():
        return figure(name, title, None, "ratio", len(t_s), f"seen for less than {WINDOW_S:g} s")
    at, since = np.flatnonzero(whole), before[whole]
    share = (used_s[at] - used_s[since]) / (t_s[at] - t_s[since]) / limit
    busiest = int(np.argmax(share))
    return figure(name, title, float(share[busiest]), "ratio", len(t_s), f"busiest until T{t_s[at[busiest]]:+.1f} s")
