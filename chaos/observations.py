"""How each kind of expectation is checked against the tables of a record. Pure: tables in, an observation out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaos.expected import (
    CounterIncreases,
    MetricReaches,
    NoGap,
    Reconnects,
    Recovers,
    RequestShare,
    ResponseTime,
    StreamEvents,
)
from harness.amounts import amount, number
from harness.sli import percentile, scraped

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "equals": operator.eq,
    "at_least": operator.ge,
    "at_most": operator.le,
}

_WHO: Final = ["kind", "user", "actor"]
"""What tells one person from another: people of different kinds share numbers."""


class Window(msgspec.Struct, frozen=True):
    """When a fault was in force, in T0 seconds: asked for, seen by the canary, and asked to go."""

    requested_s: float
    effective_s: float
    heal_requested_s: float


class Observation(msgspec.Struct, frozen=True):
    """What was seen. `met` null: the record cannot tell."""

    met: bool | None
    text: str


def metric_reaches(metrics: pa.Table, wanted: MetricReaches, window: Window) -> Observation:
    """See `MetricReaches`. The moment is that of the scrape, so at worst one scrape late."""
    from_s = window.effective_s if wanted.of == "effective" else window.heal_requested_s
    all_series = list(_series(metrics, wanted.metric, wanted.labels))
    if not all_series:
        return Observation(None, f"{wanted.metric} was never scraped")
    moments: list[float] = []
    unseen = 0
    for series in all_series:
        after = series[series["t_s"] >= from_s]
        reached = after[[_COMPARE[wanted.compare](value, wanted.value) for value in after["value"]]]
        unseen += after[after["t_s"] <= from_s + wanted.within_s].empty
        moments.append(float(reached["t_s"].min()) - from_s if len(reached) else np.inf)
    moment_s = min(moments) if wanted.across == "any" else max(moments)
    if moment_s <= wanted.within_s:
        return Observation(met=True, text=f"after {amount(moment_s, 's', [wanted.within_s])}")
    if unseen == len(all_series) or (unseen and wanted.across == "all"):
        return Observation(None, f"not scraped in those {wanted.within_s:g} s")
    late = "never" if moment_s == np.inf else f"after {amount(moment_s, 's', [wanted.within_s])}"
    return Observation(met=False, text=late)


def counter_increases(metrics: pa.Table, requests: pa.Table, wanted: CounterIncreases, window: Window) -> Observation:
    """See `CounterIncreases`; `harness.sli.scraped` tells how a counter is read over restarts."""
    until_s = window.heal_requested_s + wanted.grace_s
    found = scraped.increments(metrics, wanted.metric)
    if found.empty:
        return Observation(None, f"{wanted.metric} was never scraped")
    of_them = pc.is_in(metrics["source"], value_set=pa.array(found["source"].unique()))
    if not _between(metrics.filter(of_them), "t_s", window.requested_s, until_s).num_rows:
        return Observation(None, "not scraped during the fault")
    during = found["t_s"].between(window.requested_s, until_s, inclusive="right")
    ours = found["labels"].map(lambda labels: _has(str(labels), wanted.labels))
    grown = float(found.loc[during & ours, "grown"].sum())
    text = f"by {number(grown, [wanted.by_at_least])}"
    if grown < wanted.by_at_least and wanted.needs_step:
        steps = _step(requests, wanted.needs_step)
        if not _between(steps, "t_start_s", window.effective_s, window.heal_requested_s).num_rows:
            return Observation(None, f"{text}, and no {wanted.needs_step} was sent")
    return Observation(grown >= wanted.by_at_least, text)


def response_time(requests: pa.Table, wanted: ResponseTime, window: Window) -> Observation:
    """See `ResponseTime`."""
    meant = _between(_step(requests, wanted.step), "t_intended_s", window.effective_s, window.heal_requested_s)
    if meant.num_rows < wanted.samples_min:
        return Observation(None, f"only {meant.num_rows} requests")
    times_ms = (meant["t_end_s"].to_numpy() - meant["t_intended_s"].to_numpy()) * 1000
    value_ms = percentile(times_ms, wanted.quantile)
    if value_ms is None:
        return Observation(None, "no request")
    told = amount(value_ms, "ms", [wanted.at_most_ms])
    return Observation(value_ms <= wanted.at_most_ms, f"{told} over {meant.num_rows:,} requests")


def request_share(requests: pa.Table, wanted: RequestShare, window: Window) -> Observation:
    """See `RequestShare`."""
    sent = _between(_step(requests, wanted.step), "t_start_s", window.effective_s, window.heal_requested_s)
    if sent.num_rows < wanted.samples_min:
        return Observation(None, f"only {sent.num_rows} requests")
    matching = sent
    if wanted.status:
        matching = matching.filter(pc.is_in(matching["status"], pa.array(wanted.status, pa.int16())))
    if wanted.outcome:
        matching = matching.filter(pc.is_in(matching["outcome"], pa.array([str(one) for one in wanted.outcome])))
    if wanted.error:
        matching = matching.filter(pc.is_in(matching["error"], pa.array(wanted.error)))
    share = matching.num_rows / sent.num_rows
    met = wanted.at_least <= share <= wanted.at_most
    told = amount(share, "ratio", [wanted.at_least, wanted.at_most])
    return Observation(met, f"{told} of {sent.num_rows:,} requests")


def recovers(requests: pa.Table, wanted: Recovers, window: Window) -> Observation:
    """See `Recovers`. Without requests before the fault there is nothing to come back to."""
    steps = _step(requests, wanted.step)
    before = _between(steps, "t_intended_s", -np.inf, window.requested_s)
    after = _between(steps, "t_intended_s", window.heal_requested_s + wanted.within_s, np.inf)
    if min(before.num_rows, after.num_rows) < wanted.samples_min:
        return Observation(None, f"only {before.num_rows} requests before and {after.num_rows} after")
    was, now = _ok_share(before), _ok_share(after)
    was_ms, now_ms = _median_ms(before), _median_ms(after)
    least, most_ms = was - wanted.share_drop_at_most, max(was_ms * wanted.slower_at_most, was_ms + wanted.slack_ms)
    met = now >= least and now_ms <= most_ms
    after = f"{amount(now, 'ratio', [least])} ok in {amount(now_ms, 'ms', [most_ms])} after"
    allowed = f"at least {amount(least, 'ratio', [now])} in at most {amount(most_ms, 'ms', [now_ms])} would do"
    before = f"{amount(was, 'ratio')} in {amount(was_ms, 'ms')} before"
    return Observation(met, f"{after}, {before}; {allowed}")


def _ok_share(requests: pa.Table) -> float:
    return float(np.mean(requests["outcome"].to_numpy(zero_copy_only=False) == "ok"))


def _median_ms(requests: pa.Table) -> float:
    return float(np.median(requests["t_end_s"].to_numpy() - requests["t_intended_s"].to_numpy()) * 1000)


def stream_events(events: pa.Table, wanted: StreamEvents, window: Window) -> Observation:
    """See `StreamEvents`. With nobody on the stream when the fault began, there is nothing to judge."""
    stream = _stream(events, wanted.stream)
    # from the request on: the platform may notice before the canary's next probe does
    seen = _between(stream, "t_s", window.requested_s, window.heal_requested_s + wanted.grace_s)
    count = int(pc.sum(pc.equal(seen["event"], wanted.event)).as_py() or 0)
    if count >= wanted.at_least:
        return Observation(met=True, text=f"{count:,}")
    before = _between(stream, "t_s", -np.inf, window.requested_s).select([*_WHO, "event"]).to_pandas()
    last = before.groupby(_WHO)["event"].last()
    if not (~last.isin(["disconnect", "admitted"])).any():
        return Observation(None, f"nobody was on the {wanted.stream} stream")
    return Observation(met=False, text=f"{count:,}")


def reconnects(events: pa.Table, wanted: Reconnects, window: Window) -> Observation:
    """See `Reconnects`. Clients that the end of the record leaves no time to come back are not counted."""
    stream = _stream(events, wanted.stream)
    rows = stream.select([*_WHO, "event", "t_s", "key"]).to_pandas()
    cut = rows[(rows["event"] == "disconnect") & (rows["key"] != "")]
    cut = cut[cut["t_s"].between(window.requested_s, window.heal_requested_s)]
    connects = rows[rows["event"] == "connect"]
    cut = cut[cut["t_s"] + wanted.within_s <= rows["t_s"].max()]
    if cut.empty:
        return Observation(None, "no client was cut off")
    back = pd.merge_asof(
        cut.sort_values("t_s"),
        connects[[*_WHO, "t_s"]].assign(t_back_s=connects["t_s"]).sort_values("t_s"),
        on="t_s",
        by=_WHO,
        direction="forward",
    )
    took_s = (back["t_back_s"] - back["t_s"]).fillna(np.inf)
    share = float((took_s <= wanted.within_s).mean())
    latest = amount(float(took_s.max()), "s", [wanted.within_s]) if np.isfinite(took_s.max()) else ""
    slowest = f"the slowest after {latest}" if latest else "one never"
    told = amount(share, "ratio", [wanted.share_at_least])
    return Observation(share >= wanted.share_at_least, f"{told} of {len(took_s):,} clients, {slowest}")


def no_gap(events: pa.Table, wanted: NoGap, window: Window) -> Observation:
    """See `NoGap`. A snapshot says where the count goes on; a change of epoch without one is a gap."""
    feed = _stream(events, "feed")
    changes = feed.filter(pc.is_in(feed["event"], pa.array(["snapshot", "seat"])))
    rows = changes.select([*_WHO, "event", "t_s", "epoch", "seq"]).to_pandas()
    rows = rows.sort_values([*_WHO, "t_s"], kind="stable")
    before = rows.groupby(_WHO)[["epoch", "seq"]].shift()
    skips = (rows["epoch"] != before["epoch"]) | (rows["seq"] > before["seq"] + 1)
    judged = (rows["event"] == "seat") & before["seq"].notna()
    judged &= rows["t_s"].between(window.requested_s, window.heal_requested_s + wanted.grace_s)
    if not judged.any():
        return Observation(None, "no seat change reached a client")
    gaps = int((skips & judged).sum())
    return Observation(gaps == 0, f"{gaps:,} gaps in {int(judged.sum()):,} changes")


def _series(metrics: pa.Table, name: str, labels: dict[str, str]) -> Iterator[pd.DataFrame]:
    """Each (source, labels) of a metric whose labels include these, in the order of time."""
    for (_, text), series in scraped.samples(metrics, name).groupby(["source", "labels"]):
        if _has(str(text), labels):
            yield series


def _has(text: str, labels: dict[str, str]) -> bool:
    return {f"{key}={value}" for key, value in labels.items()} <= set(text.split(","))


def _step(requests: pa.Table, step: str) -> pa.Table:
    return requests.filter(pc.equal(requests["step"], step))


def _stream(events: pa.Table, stream: str) -> pa.Table:
    return events.filter(pc.equal(events["stream"], stream))


def _between(table: pa.Table, column: str, from_s: float, until_s: float) -> pa.Table:
    times = table[column]
    return table.filter(pc.and_(pc.greater_equal(times, from_s), pc.less_equal(times, until_s)))
