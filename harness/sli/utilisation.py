"""How near each resource came to its limit: processes, the machine, connections to a database.

A resource that is in use all the time is saturated: what comes then waits (Gregg's USE method). Each course has the
utilisation over the `WINDOW_S` before each scrape, so that a short peak does not count and a long one cannot hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from harness.record.schema import MACHINE_BUSY, MACHINE_CORES, Struct
from harness.sli import scraped

WINDOW_S: Final = 3.0
_CPU: Final = "process_cpu_seconds_total"
_POOL_BUSY: Final = "target_db_pool_busy_seconds_total"
_POOL_SIZE: Final = "target_db_pool_connections"


class Utilisation(Struct, frozen=True):
    """A resource over time. `share`: how much of it was in use; 1: all. A process with threads may use several cores.

    `whole`: how much there is of it, in connections, or in cores that it can use. `scrapes`: how often it was seen;
    seen for less than `WINDOW_S` it has no course.
    """

    name: str
    title: str
    t_s: tuple[float, ...]
    share: tuple[float, ...]
    whole: float
    scrapes: int

    @property
    def highest(self) -> tuple[float, float] | None:
        """The highest share and when that was; null without a course."""
        return max(zip(self.share, self.t_s, strict=True), default=None)


def utilisations(metrics: pa.Table) -> Iterator[Utilisation]:
    """Every resource of which the scraped metrics tell the use and the limit."""
    for source, own in scraped.increments(metrics, _CPU).groupby("source"):
        yield _course(f"cpu_{source}", f"CPU of {source}", own, 1.0)
    cores = scraped.samples(metrics, MACHINE_CORES)["value"]
    if not cores.empty:
        busy, count = scraped.increments(metrics, MACHINE_BUSY), float(cores.iloc[-1])
        yield _course("machine", f"CPU of this machine, all {count:g} cores", busy, count, most=1.0)
    yield from _pools(metrics)


def _pools(metrics: pa.Table) -> Iterator[Utilisation]:
    busy, size = scraped.increments(metrics, _POOL_BUSY), scraped.samples(metrics, _POOL_SIZE)
    limits = size.groupby(["source", "labels"])["value"].last()
    for (source, labels), own in busy.groupby(["source", "labels"]):
        limit = float(limits.get((source, labels), 0.0))
        if limit > 0:
            named = scraped.labels(str(labels))
            server, shard = named.get("server", ""), named.get("shard", "")
            of = f"{server}, shard {shard}" if shard else server
            title = f"Connections of {source} to the {of}, all {limit:g}"
            yield _course(f"pool_{source}_{server}{shard}", title, own, limit, most=1.0)


def _course(name: str, title: str, grown: pd.DataFrame, limit: float, *, most: float = np.inf) -> Utilisation:
    """The share of the limit. `grown`: seconds of use since the last scrape. `most`: what it cannot be above."""
    by_time = grown.groupby("t_s")["grown"].sum()
    t_s, used_s = by_time.index.to_numpy(dtype=float), np.cumsum(by_time.to_numpy(dtype=float))
    before = np.searchsorted(t_s, t_s - WINDOW_S, side="right") - 1
    at = np.flatnonzero(before >= 0)
    since = before[at]
    share = np.minimum((used_s[at] - used_s[since]) / (t_s[at] - t_s[since]) / limit, most)
    return Utilisation(
        name=name, title=title, t_s=tuple(t_s[at].tolist()), share=tuple(share.tolist()), whole=limit, scrapes=len(t_s)
    )
