"""Measures response times and other waits.

Response times run from the instant at which the user meant to send to the last byte, so neither a slow generator nor a
slow platform can hide that the next request went out late. Requests that were refused outright are left out: they are
answered at once and would make the figure look better (`error_ratio` counts them). Requests that were cut off or timed
out count with the time that the user waited.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.amounts import amount
from harness.record.feed_walk import FeedWalk, Role, firsts
from harness.record.schema import Outcome
from harness.sli.measured import NO_CUSTOMERS, Floats, Measured, Observations, rows_where
from harness.sli.platform_clock import platform_ahead_s
from harness.sli.samples import Names, Samples, names_of, users_of

_CLOCK_S: Final = 0.001
_NEVER_SO_SLOW_MS: Final = 1000.0
_MIDDLE_S: Final = 0.5
_SECONDS: Final = -(1 << 40)
"""Below it are the numbers that stand for a second of a worker, in place of a user."""
_WORKER_BITS: Final = 16
_NOBODY: Final = -(1 << 60)


def step_latency_ms(
    requests: pa.Table, step: str, quantile: float, t_from_s: float = -np.inf, t_to_s: float = np.inf
) -> Measured:
    """Nearest-rank percentile of the response time of a step, in ms, over requests sent in [t_from_s, t_to_s)."""
    return response_samples(in_window(requests, step, t_from_s, t_to_s), quantile).measured


def response_samples(requests: pa.Table, quantile: float, ends: str = "t_end_s") -> Samples:
    """The response time of each of these requests in ms; `ends` names the column that says when it was over."""
    chosen = requests.filter(
        pc.and_(pc.not_equal(requests["outcome"], Outcome.FAIL.value), pc.is_valid(requests[ends]))
    )
    took_ms = pc.multiply(pc.subtract(chosen[ends], chosen["t_intended_s"]), 1000.0).to_numpy()
    return Samples(users_of(chosen), chosen["t_start_s"].to_numpy(), took_ms, quantile)


def in_window(requests: pa.Table, step: str, t_from_s: float = -np.inf, t_to_s: float = np.inf) -> pa.Table:
    """The requests of a step ("": all but `settle`) sent in [t_from_s, t_to_s) that the end of the run did not cut."""
    of_step = pc.equal(requests["step"], step) if step else pc.not_equal(requests["step"], "settle")
    ours = pc.and_(of_step, pc.not_equal(requests["error"], "stopped"))
    sent = requests["t_start_s"]
    return rows_where(requests, pc.and_(ours, pc.and_(pc.greater_equal(sent, t_from_s), pc.less(sent, t_to_s))))


def time_to_first_position_p95_s(seen: Observations) -> Samples:
    """p95 of the time from when a fan meant to open the queue page to the first position, admission or refusal on the
    stream, or the word that nothing is left.

    A message without a position, as before a draw of lots, does not count. A fan who saw none of these counts as
    waiting to the end of the run. Users of other kinds count when they join the line. Fans who were turned away,
    because their access code or identity had let another in, are left out.
    """
    requests, events = seen.requests, seen.positions
    queueing = pc.is_in(requests["step"], value_set=pa.array(["queue_page", "join"]))
    named = pc.not_equal(requests["actor"], "")  # the user of a summed request is not known
    sent = requests.filter(pc.and_(queueing, named)).select(["actor", "kind", "step", "t_intended_s"])
    in_line = pc.unique(sent["actor"].filter(pc.or_(pc.equal(sent["kind"], "fan"), pc.equal(sent["step"], "join"))))
    came = _earliest(sent, "t_intended_s").sort_by("actor")
    away = pc.is_in(came["actor"], value_set=pa.array(seen.history.turned_away, pa.string()))
    came = came.filter(pc.and_(pc.is_in(came["actor"], value_set=in_line), pc.invert(away)))
    position = pc.and_(pc.equal(events["event"], "position"), pc.is_valid(events["value"]))
    told = pc.or_(position, pc.is_in(events["event"], value_set=pa.array(["admitted", "refused", "sold_out"])))
    first = _earliest(events.filter(told), "t_s")
    first_s = first["t_s"].take(pc.index_in(came["actor"], value_set=first["actor"].combine_chunks()))
    waited_s = pc.subtract(pc.fill_null(first_s, seen.duration_s), came["t_intended_s"])
    never = f"{first_s.null_count:,} of {len(came):,} fans never saw a position" if first_s.null_count else ""
    whole = "" if pc.all(named).as_py() else f"of the {len(came):,} users whose requests are not summed up"
    note = "; ".join(filter(None, (never, whole)))
    return Samples(names_of(came["actor"]), came["t_intended_s"].to_numpy(), waited_s.to_numpy(), 0.95, note=note)


def _earliest(rows: pa.Table, column: str) -> pa.Table:
    """Columns actor and `column`: the smallest value of each actor."""
    first = rows.group_by("actor").aggregate([(column, "min")])
    return pa.table({"actor": first["actor"], column: first[f"{column}_min"]})


def feed_freshness_p99_ms(seen: Observations) -> Samples:
    """p99 of the time from a seat's change, by the platform's stamp, to its arrival at a follower.

    Changes from before the follower's present connection are left out: catching up is recovery, not freshness. When
    stamps lie in the future, the platform's clock is ahead of ours by at least that difference, which is subtracted. A
    hold that was granted while a follower was connected, and that the feed never told of, counts as waiting to the end
    of the run.
    """
    feed = seen.everything.feed
    ours = _of_people(feed)
    received_s, stamped_s = feed.t_s, feed.t_sent_s
    ahead_s = platform_ahead_s(received_s[ours], stamped_s[ours])
    live = np.flatnonzero(ours & feed.are("seat") & (stamped_s - ahead_s >= _connected_s(feed)))
    sent_s = stamped_s[live] - ahead_s
    late_ms = (received_s[live] - sent_s) * 1000
    summed = _summed_delays(seen, ahead_s)
    untold_s = _untold_s(seen, feed)
    numbered = feed.seq[live][feed.has_seq[live]]
    numbers = int(np.count_nonzero(firsts(np.zeros_like(numbered), numbered) == np.arange(len(numbered))))
    followers = max(1, round((len(live) + len(summed)) / max(1, numbers)))
    waited_ms = np.repeat((seen.duration_s - untold_s) * 1000, followers)
    return Samples(
        who=np.concatenate([_followers(feed)[live], summed.who, np.full(len(waited_ms), _NOBODY)]),
        t_s=np.concatenate([sent_s, summed.t_s, np.repeat(untold_s, followers)]),
        value=np.concatenate([late_ms, summed.value, waited_ms]),
        quantile=0.99,
        note="; ".join(
            filter(None, (_clock_note(ahead_s, late_ms), _summed_note(len(summed)), _untold_note(len(untold_s))))
        ),
    )


def _of_people(feed: FeedWalk) -> npt.NDArray[np.bool_]:
    """Which rows a follower received who counts, and received whole."""
    found: npt.NDArray[np.bool_] = ~feed.have("kind", NO_CUSTOMERS.to_pylist()) & (feed.role <= Role.NOTED)
    return found


def _followers(feed: FeedWalk) -> Names:
    """A number for the user of each row."""
    each = np.flatnonzero(firsts(feed.actor, np.zeros_like(feed.actor)) == np.arange(len(feed.actor)))
    names = np.zeros(int(feed.actor.max(initial=-1)) + 1, np.int64)
    rows = feed.rows.select(["kind", "user"]).take(pa.array(each))
    names[feed.actor[each]] = users_of(rows.set_column(0, "kind", rows["kind"].cast(pa.string())))
    return names[feed.actor]


def _connected_s(feed: FeedWalk) -> Floats:
    """When each row's follower opened the present connection; NaN where there is none."""
    latest = np.maximum.accumulate(np.where(feed.are("connect"), np.arange(len(feed.actor)), -1))
    same = (latest >= 0) & (feed.actor[latest] == feed.actor)
    return np.where(same, feed.t_s[latest], np.nan)


def _summed_delays(seen: Observations, ahead_s: float) -> Samples:
    """The delays that were counted where the changes arrived. Whose they were is not known: those of one second and
    worker count as one user's."""
    cells = seen.record.table("feed_delays")
    count = cells["count"].to_numpy()
    late_s = cells["base_s"].to_numpy() + cells["more_us"].to_numpy() / 1e6 + ahead_s
    second = np.floor(cells["t_sent_s"].to_numpy()).astype(np.int64)
    who = _SECONDS - (second << _WORKER_BITS | cells["worker"].to_numpy())
    sent_s = cells["t_sent_s"].to_numpy() + _MIDDLE_S - ahead_s
    return Samples(np.repeat(who, count), np.repeat(sent_s, count), np.repeat(late_s * 1000, count))


def _summed_note(count: int) -> str:
    return f"{count:,} of these were counted in histograms where they arrived" if count else ""


def _clock_note(ahead_s: float, late_ms: Floats) -> str:
    if ahead_s >= _CLOCK_S:
        return f"the platform's clock is at least {amount(1000 * ahead_s, 'ms')} ahead of ours, which is taken off"
    fastest_ms = float(late_ms.min()) if late_ms.size else 0.0
    if fastest_ms >= _NEVER_SO_SLOW_MS:
        return f"even the fastest took {amount(fastest_ms, 'ms')}: the platform's clock may be behind ours"
    return ""


def _untold_note(untold: int) -> str:
    return f"of {untold:,} holds no follower was told" if untold else ""


def _untold_s(seen: Observations, feed: FeedWalk) -> Floats:
    """When each hold was granted that the feed never told of although a follower was connected.

    Empty when the feed's names are not those of the seats that fans hold.
    """
    holds = [hold for hold in seen.history.takings.ok if 0.0 <= hold.t_end_s <= seen.duration_s]
    seats = np.flatnonzero(_of_people(feed) & feed.are("seat"))
    newest_s = np.full(int(feed.key.max(initial=-1)) + 1, -np.inf)
    np.maximum.at(newest_s, feed.key[seats], feed.t_s[seats])
    named = feed.rows["key"].combine_chunks().dictionary.to_pylist() if len(seats) else []
    last_s = {seat: t_s for seat, t_s in zip(named, newest_s.tolist(), strict=False) if t_s > -np.inf}
    if last_s and not any(seat in last_s for hold in holds for seat in hold.value.seats):
        return np.empty(0)
    snapshot_s = float(feed.t_s[_of_people(feed) & feed.are("snapshot")].max(initial=-np.inf))
    untold = [
        hold.t_end_s
        for hold in holds
        if snapshot_s < hold.t_invoke_s
        and any(last_s.get(seat, -np.inf) < hold.t_invoke_s for seat in hold.value.seats)
    ]
    return np.array(untold)[_followed(feed, np.array(untold))] if untold else np.empty(0)


def _followed(feed: FeedWalk, moments: Floats) -> npt.NDArray[np.bool_]:
    """For each of these moments, whether any follower was connected to the feed."""
    ours = _of_people(feed)
    joined_s, left_s = (np.sort(feed.t_s[ours & feed.are(event)]) for event in ("connect", "disconnect"))
    return np.searchsorted(joined_s, moments, side="right") > np.searchsorted(left_s, moments, side="right")


def reconnect_recovery_p95_s(seen: Observations) -> Samples:
    """p95 of the time from a follower's lost connection to its next open one, or else to the end of the run."""
    walked = seen.everything.feed
    chosen = _of_people(walked) & (walked.are("connect") | walked.are("disconnect"))
    rows = walked.rows.take(pa.array(np.flatnonzero(chosen)))
    feed: pd.DataFrame = rows.select(["actor", "event", "t_s", "key"]).to_pandas().astype({"actor": str, "key": str})
    lost = (feed["event"] == "disconnect") & (feed["key"] != "") & (feed["t_s"] < seen.duration_s)
    back_s = feed["t_s"].where(feed["event"] == "connect").groupby(feed["actor"]).bfill()
    waits = (back_s.fillna(seen.duration_s) - feed["t_s"])[lost]
    return Samples(_names(feed[lost]), feed["t_s"][lost].to_numpy(), waits.to_numpy(), 0.95)


def _names(feed: pd.DataFrame) -> Names:
    return feed["actor"].to_numpy(dtype=np.str_)
