"""Checks each kind of expectation against the tables of a record. Pure: tables in, an observation out."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from chaos.specification.expected import (
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
from harness.record.collecting.scrape import PERIOD_S
from harness.record.feed_walk import FeedWalk, Role, encoded
from harness.sli import scraped
from harness.sli.measured import BOT, Floats

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "equals": operator.eq,
    "at_least": operator.ge,
    "at_most": operator.le,
}
SIGNS: Final = {"equals": "=", "at_least": "≥", "at_most": "≤"}
_BREAKS: Final = ("connect", "disconnect")
_LATE_S: Final = 2 * PERIOD_S  # by how much the last scrape may fall short of the allowed time

WHO: Final = ["kind", "user", "actor"]
"""What tells one person from another: people of different kinds share numbers."""


class Window(msgspec.Struct, frozen=True):
    """When a fault was in force, in T0 seconds: asked for, seen by the canary, and asked to go."""

    requested_s: float
    effective_s: float
    heal_requested_s: float


class Observation(msgspec.Struct, frozen=True):
    """The result of a check. `status`: met, missed, unknown (the record lacks the data), or not_exercised.

    `chances`: how many observations could have shown the expectation missed.
    """

    status: Literal["met", "missed", "unknown", "not_exercised"]
    text: str
    chances: int = 0


def _judged(met: bool, text: str, chances: int) -> Observation:
    return Observation("met" if met else "missed", text, chances)


def unknown(text: str) -> Observation:
    """An observation without data in the record: it is not known whether the expectation was met."""
    return Observation("unknown", text)


def _not_exercised(text: str, chances: int = 0) -> Observation:
    """An observation of a run in which nothing, or too little, tested the expectation."""
    return Observation("not_exercised", text, chances)


def metric_reaches(metrics: pa.Table, wanted: MetricReaches, window: Window) -> Observation:
    """See `MetricReaches`. The instant is that of the scrape, so it is late by one period at most.

    A gauge that never left the value to which it must come back after the heal did not test the expectation.
    """
    from_s = window.effective_s if wanted.of == "effective" else window.heal_requested_s
    until_s = from_s + wanted.within_s
    all_series = list(_series(metrics, wanted.metric, wanted.labels))
    if not all_series:
        return unknown(_never_scraped(metrics, wanted.metric))
    in_time = _scraped_between(all_series, from_s, until_s)
    chances = sum(map(len, in_time))
    moments_s = [_reached_after_s(series, wanted, from_s) for series in all_series]
    moment_s = min(moments_s) if wanted.across == "any" else max(moments_s)
    if moment_s <= wanted.within_s:
        since_fault = _scraped_between(all_series, window.requested_s, until_s)
        if wanted.of == "heal" and all(_is_reached(series, wanted).all() for series in since_fault):
            return _not_exercised(f"it was {SIGNS[wanted.compare]} {number(wanted.value)} all the time")
        return _judged(True, f"after {amount(moment_s, 's', [wanted.within_s])}", chances)
    blind = sum(scrapes.empty for scrapes in in_time)
    if blind == len(all_series) or (blind and wanted.across == "all"):
        return unknown(f"{wanted.metric} was not scraped in those {wanted.within_s:g} s")
    last_s = float(pc.max(metrics["t_s"]).as_py())
    if last_s < until_s - _LATE_S:
        return unknown(f"not yet when the last metrics were scraped, {last_s - from_s:.1f} s after")
    late = "never" if moment_s == np.inf else f"after {amount(moment_s, 's', [wanted.within_s])}"
    return _judged(False, late, chances)


def counter_increases(metrics: pa.Table, requests: pa.Table, wanted: CounterIncreases, window: Window) -> Observation:
    """See `CounterIncreases`; `harness.sli.scraped` tells how a counter is read over restarts.

    A chance is a step that was taken; without `needs_step`, a scrape. Growth is a chance that was taken.
    """
    until_s = window.heal_requested_s + wanted.grace_s
    found = scraped.increments(metrics, wanted.metric)
    if found.empty:
        return unknown(_never_scraped(metrics, wanted.metric))
    of_them = pc.is_in(metrics["source"], value_set=pa.array(found["source"].unique()))
    times_s = _between(metrics.filter(of_them), "t_s", window.requested_s, until_s)["t_s"]
    if not len(times_s):
        return unknown(f"{wanted.metric} was not scraped during the fault")
    during = found["t_s"].between(window.requested_s, until_s, inclusive="right")
    ours = found["labels"].map(lambda labels: _has(str(labels), wanted.labels))
    grown = float(found.loc[during & ours, "grown"].sum())
    text, met = f"by {number(grown, [wanted.by_at_least])}", grown >= wanted.by_at_least
    if not wanted.needs_step:
        return _judged(met, text, len(times_s.unique()))
    steps = _between(_step(requests, wanted.needs_step), "t_start_s", window.effective_s, window.heal_requested_s)
    if not met and not steps.num_rows:
        return _not_exercised(f"{text}, and no {wanted.needs_step} was sent")
    return _judged(met, text, max(steps.num_rows, int(met)))


def response_time(requests: pa.Table, wanted: ResponseTime, window: Window) -> Observation:
    """See `ResponseTime`."""
    meant = _between(_step(requests, wanted.step), "t_intended_s", window.effective_s, window.heal_requested_s)
    if too_few := _too_few(meant, wanted.samples_min):
        return too_few
    times_ms = (meant["t_end_s"].to_numpy() - meant["t_intended_s"].to_numpy()) * 1000
    value_ms = float(np.quantile(times_ms, wanted.quantile, method="inverted_cdf"))
    told = amount(value_ms, "ms", [wanted.at_most_ms])
    return _judged(value_ms <= wanted.at_most_ms, f"{told} over {meant.num_rows:,} requests", meant.num_rows)


def request_share(requests: pa.Table, wanted: RequestShare, window: Window) -> Observation:
    """See `RequestShare`."""
    sent = _between(_step(requests, wanted.step), "t_start_s", window.effective_s, window.heal_requested_s)
    if too_few := _too_few(sent, wanted.samples_min):
        return too_few
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
    return _judged(met, f"{told} of {sent.num_rows:,} requests", sent.num_rows)


def _too_few(requests: pa.Table, samples_min: int) -> Observation | None:
    """The observation when there are fewer requests than an expectation needs; null when there are enough."""
    count = requests.num_rows
    if count >= max(samples_min, 1):
        return None
    return _not_exercised(f"only {count:,} requests, {samples_min:,} are needed", count)


def recovers(requests: pa.Table, wanted: Recovers, window: Window) -> Observation:
    """See `Recovers`. Without requests before the fault there is no state to recover to."""
    steps = _step(requests, wanted.step)
    before = _between(steps, "t_intended_s", -np.inf, window.requested_s)
    after = _between(steps, "t_intended_s", window.heal_requested_s + wanted.within_s, np.inf)
    if min(before.num_rows, after.num_rows) < max(wanted.samples_min, 1):
        seen = f"only {before.num_rows:,} requests before and {after.num_rows:,} after"
        return _not_exercised(f"{seen}, {wanted.samples_min:,} each are needed", after.num_rows)
    was, now = _ok_share(before), _ok_share(after)
    was_ms, now_ms = _median_ms(before), _median_ms(after)
    least, most_ms = was - wanted.share_drop_at_most, max(was_ms * wanted.slower_at_most, was_ms + wanted.slack_ms)
    met = now >= least and now_ms <= most_ms
    told = f"{amount(now, 'ratio', [least])} ok in {amount(now_ms, 'ms', [most_ms])} after"
    allowed = f"at least {amount(least, 'ratio', [now])} in at most {amount(most_ms, 'ms', [now_ms])} would do"
    as_before = f"{amount(was, 'ratio')} in {amount(was_ms, 'ms')} before"
    return _judged(met, f"{told}, {as_before}; {allowed}", after.num_rows)


def _ok_share(requests: pa.Table) -> float:
    return float(np.mean(requests["outcome"].to_numpy(zero_copy_only=False) == "ok"))


def _median_ms(requests: pa.Table) -> float:
    return float(np.median(requests["t_end_s"].to_numpy() - requests["t_intended_s"].to_numpy()) * 1000)


def stream_events(
    stream: pa.Table,
    feed: Callable[[], FeedWalk],
    stretches: pa.Table,
    wanted: StreamEvents,
    window: Window,
) -> Observation:
    """See `StreamEvents`. A chance is a client that was on the stream when the fault began, or that got the event.

    `stream`: the events on it. `feed` with `stretches`: what followers of the seat feed heard, where it is that.
    """
    # from the injection on, because the platform may notice before the canary's next probe
    until_s = window.heal_requested_s + wanted.grace_s
    stream = encoded(stream.select([*WHO, "event", "t_s"]))
    seen = _between(stream, "t_s", window.requested_s, until_s)
    heard = seen.filter(pc.equal(seen["event"], wanted.event))
    count = heard.num_rows
    if (wanted.stream, wanted.event) == ("feed", "seat") and stretches.num_rows:
        count += feed().heard_within(stretches, window.requested_s, until_s)
    there = _there(_between(stream, "t_s", -np.inf, window.requested_s))
    chances = len(there | _clients(heard.group_by(WHO).aggregate([])))
    if count >= wanted.at_least:
        return _judged(True, f"{count:,}", chances)
    if not there:
        return _not_exercised(f"nobody was on the {wanted.stream} stream")
    return _judged(False, f"{count:,}", chances)


class Breaks(msgspec.Struct, frozen=True):
    """The connects and disconnects of people on one stream, and when the last event of all came on it."""

    rows: pd.DataFrame
    last_s: float


def of_stream(events: pa.Table) -> Breaks:
    """Of all events on a stream."""
    chosen = events.filter(pc.is_in(events["event"], value_set=pa.array(_BREAKS)))
    return Breaks(_frame(chosen), _last(events["t_s"].to_numpy()))


def of_feed(walked: FeedWalk) -> Breaks:
    """Of the feed, of whose millions of rows only these few are copied."""
    chosen = np.flatnonzero(walked.have("event", _BREAKS) & ~walked.have("kind", (BOT,)))
    return Breaks(_frame(walked.rows.select([*WHO, "event", "t_s", "key"]).take(chosen)), _last(walked.t_s))


def _frame(rows: pa.Table) -> pd.DataFrame:
    texts = [one.cast(pa.string()) if pa.types.is_dictionary(one.type) else one for one in rows.columns]
    found: pd.DataFrame = pa.table(texts, names=rows.column_names).to_pandas()
    return found


def _last(t_s: Floats) -> float:
    return float(t_s.max()) if len(t_s) else -np.inf


def reconnects(breaks: Sequence[Breaks], wanted: Reconnects, window: Window) -> Observation:
    """See `Reconnects`; `breaks`: of those streams. Clients that had no time to come back before the end of the record
    do not count."""
    last_s = max(one.last_s for one in breaks)
    rows = pd.concat([one.rows for one in breaks])
    cut = rows[(rows["event"] == "disconnect") & (rows["key"] != "")]
    cut = cut[cut["t_s"].between(window.requested_s, window.heal_requested_s)]
    if cut.empty:
        return _not_exercised("no client was cut off")
    connects = rows[rows["event"] == "connect"]
    cut = cut[cut["t_s"] + wanted.within_s <= last_s]
    if cut.empty:
        return _not_exercised(f"the run ended less than {wanted.within_s:g} s after the first was cut off")
    back = pd.merge_asof(
        cut.sort_values("t_s"),
        connects[[*WHO, "t_s"]].assign(t_back_s=connects["t_s"]).sort_values("t_s"),
        on="t_s",
        by=WHO,
        direction="forward",
    )
    took_s = (back["t_back_s"] - back["t_s"]).fillna(np.inf)
    share = float((took_s <= wanted.within_s).mean())
    latest = amount(float(took_s.max()), "s", [wanted.within_s]) if np.isfinite(took_s.max()) else ""
    slowest = f"the slowest after {latest}" if latest else "one never"
    told = amount(share, "ratio", [wanted.share_at_least])
    return _judged(share >= wanted.share_at_least, f"{told} of {len(took_s):,} clients, {slowest}", len(took_s))


def no_gap(walked: FeedWalk, stretches: pa.Table, wanted: NoGap, window: Window) -> Observation:
    """See `NoGap`. A snapshot sets the sequence number anew; a change of epoch without a snapshot is a gap.

    Of a stretch that was summed up where it arrived, the first change can show a gap and the others are chances, as
    far as their worker first received them meanwhile.
    """
    ours = walked.have("event", ("snapshot", "seat")) & ~walked.have("kind", (BOT,))
    kept = np.flatnonzero(ours & (walked.role != Role.NOTED))
    actor, epoch, seq, role = (one[kept] for one in (walked.actor, walked.epoch, walked.seq, walked.role))
    has_seq, is_seat, t_s = walked.has_seq[kept], walked.are("seat")[kept], walked.t_s[kept]
    follows = np.concatenate(([False], (actor[1:] == actor[:-1]) & has_seq[:-1]))[: len(kept)]
    skips = (np.diff(epoch, prepend=-1) != 0) | (has_seq & (np.diff(seq, prepend=0) > 1))
    until_s = window.heal_requested_s + wanted.grace_s
    judged = is_seat & follows & (t_s >= window.requested_s) & (t_s <= until_s)
    chances = int(judged.sum()) + walked.heard_within(stretches, window.requested_s, until_s)
    if not chances:
        return _not_exercised("no seat change reached a client")
    gaps = int((skips & judged & (role != Role.LAST)).sum())
    return _judged(gaps == 0, f"{gaps:,} gaps in {chances:,} changes", chances)


def _there(before: pa.Table) -> set[tuple[object, ...]]:
    """Who was on a stream after these events of it."""
    numbered = before.append_column("at", pa.array(np.arange(before.num_rows)))
    last = numbered.group_by(WHO).aggregate([("at", "max")])
    event = before["event"].take(last["at_max"])
    return _clients(last.filter(pc.invert(pc.is_in(event, value_set=pa.array(["disconnect", "admitted"])))))


def _clients(rows: pa.Table) -> set[tuple[object, ...]]:
    return set(zip(*(rows[name].to_pylist() for name in WHO), strict=True))


def _never_scraped(metrics: pa.Table, name: str) -> str:
    """The observation for a metric without series, or without series of the required labels."""
    known = bool(pc.any(pc.equal(metrics["name"], name)).as_py())
    return f"no series of {name} with these labels was scraped" if known else f"{name} was never scraped"


def _scraped_between(all_series: list[pd.DataFrame], from_s: float, until_s: float) -> list[pd.DataFrame]:
    return [series[series["t_s"].between(from_s, until_s)] for series in all_series]


def _is_reached(series: pd.DataFrame, wanted: MetricReaches) -> pd.Series:
    reached: pd.Series = series["value"].map(lambda value: _COMPARE[wanted.compare](value, wanted.value)).astype(bool)
    return reached


def _reached_after_s(series: pd.DataFrame, wanted: MetricReaches, from_s: float) -> float:
    """How long after `from_s` the first scrape showed the value; infinite when none did."""
    after = series[series["t_s"] >= from_s]
    reached = after[_is_reached(after, wanted)]
    return float(reached["t_s"].min()) - from_s if len(reached) else np.inf


def _series(metrics: pa.Table, name: str, labels: dict[str, str]) -> Iterator[pd.DataFrame]:
    """Each (source, labels) of a metric whose labels include these, in the order of time."""
    for (_, text), series in scraped.samples(metrics, name).groupby(["source", "labels"]):
        if _has(str(text), labels):
            yield series


def _has(text: str, labels: dict[str, str]) -> bool:
    return {f"{key}={value}" for key, value in labels.items()} <= set(text.split(","))


def _step(requests: pa.Table, step: str) -> pa.Table:
    """The requests of a step, without those that the end of the run cut."""
    return requests.filter(pc.and_(pc.equal(requests["step"], step), pc.not_equal(requests["error"], "stopped")))


def _between(table: pa.Table, column: str, from_s: float, until_s: float) -> pa.Table:
    times = table[column]
    return table.filter(pc.and_(pc.greater_equal(times, from_s), pc.less_equal(times, until_s)))
