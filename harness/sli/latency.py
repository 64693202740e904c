"""How long people waited.

Response times run from the instant at which the user meant to send to the last byte, so a generator or a platform that
makes the next request late cannot hide it. Requests that were refused outright are left out (they answer at once and
would flatter; `error_ratio` counts them); requests cut off or timed out count with the time that was waited.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import Outcome
from harness.sli.draws import Draws, Names, users_of
from harness.sli.measured import Measured, Observations


def step_latency_ms(
    requests: pa.Table, step: str, quantile: float, t_from_s: float = -np.inf, t_to_s: float = np.inf
) -> Measured:
    """Nearest-rank percentile of the response time of a step, in ms, over requests sent in [t_from_s, t_to_s)."""
    return response_draws(in_window(requests, step, t_from_s, t_to_s), quantile).measured


def response_draws(requests: pa.Table, quantile: float, ends: str = "t_end_s") -> Draws:
    """The response time of each of these requests in ms; `ends` names the column of the instant at which it is over."""
    chosen = requests.filter(
        pc.and_(pc.not_equal(requests["outcome"], Outcome.FAIL.value), pc.is_valid(requests[ends]))
    )
    took_ms = pc.multiply(pc.subtract(chosen[ends], chosen["t_intended_s"]), 1000.0).to_numpy()
    return Draws(users_of(chosen), chosen["t_start_s"].to_numpy(), took_ms, quantile)


def in_window(requests: pa.Table, step: str, t_from_s: float = -np.inf, t_to_s: float = np.inf) -> pa.Table:
    """The requests of a step ("" for all but `settle`) sent in [t_from_s, t_to_s) that our own end did not cut."""
    of_step = pc.equal(requests["step"], step) if step else pc.not_equal(requests["step"], "settle")
    ours = pc.and_(of_step, pc.not_equal(requests["error"], "stopped"))
    sent = requests["t_start_s"]
    return requests.filter(pc.and_(ours, pc.and_(pc.greater_equal(sent, t_from_s), pc.less(sent, t_to_s))))


def time_to_first_position_p95_s(seen: Observations) -> Draws:
    """From when a fan meant to open the queue page to the first position, or admission, on their stream.

    A fan who saw neither counts as waiting to the end of the run.
    """
    requests, events = seen.requests, seen.events
    queueing = pc.is_in(requests["step"], value_set=pa.array(["queue_page", "join"]))
    came = requests.filter(queueing).select(["user", "t_intended_s"]).to_pandas().groupby("user")["t_intended_s"].min()
    came = came.drop(-1, errors="ignore")  # condensed requests: nobody knows whose they were
    told = pc.is_in(events["event"], value_set=pa.array(["position", "admitted"]))
    first = events.filter(told).select(["user", "t_s"]).to_pandas().groupby("user")["t_s"].min()
    waited = first.reindex(came.index) - came
    never = int(waited.isna().sum())
    waited = waited.fillna(seen.duration_s - came)
    note = f"{never} fans never saw a position" if never else ""
    return Draws(waited.index.to_numpy(), came.to_numpy(), waited.to_numpy(), 0.95, note=note)


def feed_freshness_p99_ms(seen: Observations) -> Draws:
    """From a seat's change, by the platform's stamp, to its arrival at a follower.

    Changes from before the follower's present connection are left out: catching up is recovery, not freshness.
    """
    feed = _feed(seen.events)
    connected_s = feed["t_s"].where(feed["event"] == "connect").groupby(feed["actor"]).ffill()
    live = feed[(feed["event"] == "seat") & (feed["t_sent_s"] >= connected_s)]
    late_ms = ((live["t_s"] - live["t_sent_s"]) * 1000).to_numpy()
    return Draws(_names(live), live["t_sent_s"].to_numpy(), late_ms, 0.99)


def reconnect_recovery_p95_s(seen: Observations) -> Draws:
    """From a follower's lost connection to its next open one; one that never came back waited to the end of the run."""
    feed = _feed(seen.events)
    feed = feed[feed["event"].isin(["connect", "disconnect"])]
    lost = (feed["event"] == "disconnect") & (feed["key"] != "") & (feed["t_s"] < seen.duration_s)
    back_s = feed["t_s"].where(feed["event"] == "connect").groupby(feed["actor"]).bfill()
    waits = (back_s.fillna(seen.duration_s) - feed["t_s"])[lost]
    return Draws(_names(feed[lost]), feed["t_s"][lost].to_numpy(), waits.to_numpy(), 0.95)


def _names(feed: pd.DataFrame) -> Names:
    return feed["actor"].to_numpy(dtype=np.str_)


def _feed(events: pa.Table) -> pd.DataFrame:
    wanted = pc.equal(events["stream"], "feed")
    rows = events.filter(wanted).select(["actor", "event", "t_s", "t_sent_s", "key"])
    frame: pd.DataFrame = rows.to_pandas().sort_values(["actor", "t_s"], kind="stable")
    return frame
