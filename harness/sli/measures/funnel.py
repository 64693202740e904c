"""Measures the funnel: errors, payment failures, and holds that expired."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.record.schema import Outcome
from harness.sli.measured import Measured, Observations, ratio
from harness.sli.measures.latency import in_window
from harness.sli.samples import Samples, share_among, users_of

_CONFLICT: Final = "conflict"


def outcome_share(
    requests: pa.Table, step: str, outcome: Outcome, t_from_s: float = -np.inf, t_to_s: float = np.inf
) -> Measured:
    """Share of the requests of a step ("" for all), sent in [t_from_s, t_to_s), that ended with this outcome."""
    chosen = in_window(requests, step, t_from_s, t_to_s)
    return ratio(pc.sum(pc.equal(chosen["outcome"], outcome.value)).as_py() or 0, chosen.num_rows)


def error_ratio(seen: Observations) -> Samples:
    """Share of the requests before settling that were refused, cut off or timed out."""
    return not_ok_samples(in_window(seen.requests, ""))


def not_ok_samples(requests: pa.Table) -> Samples:
    """Whether each of these requests was refused, cut off or timed out."""
    bad = pc.not_equal(requests["outcome"], Outcome.OK.value).to_numpy().astype(np.float64)
    return Samples(users_of(requests), requests["t_start_s"].to_numpy(), bad)


def payment_failure_ratio(seen: Observations) -> Samples:
    """Share of purchases with a good card, by idempotency key, that were never answered with a yes or "in progress"."""
    pays = seen.history.pays
    tries = {
        "key": pays.keys,
        "actor": pays.actors,
        "t_s": pays.t_invoke_s,
        "bad_card": pays.column("declined_on_purpose"),
        "ok": pays.outcomes(Outcome.OK),
        "taken": pays.ended_with(_CONFLICT),
    }
    wanted = [("actor", "first"), ("t_s", "first"), ("bad_card", "any"), ("ok", "any"), ("taken", "last")]
    purchases = pa.table(tries).group_by("key", use_threads=False).aggregate(wanted)
    good = purchases.filter(pc.invert(purchases["bad_card_any"]))
    if seen.history.keeps_nothing:  # then "the last one went" is the right answer
        good = good.filter(pc.invert(good["taken_last"]))
    return share_among(good["actor_first"], good["t_s_first"].to_numpy(), ~good["ok_any"].to_numpy())


def hold_expiry_ratio(seen: Observations) -> Samples:
    """Share of holds that ran out (not paid for, declined or released), among holds that could run out in the run."""
    history = seen.history
    pays, releases, holds = history.pays, history.releases, history.holds.ok
    paid = pays.where(~pays.outcomes(Outcome.FAIL) | pays.ended_with("declined")).column("hold_id")
    used = pa.concat_arrays([paid, releases.where(~releases.outcomes(Outcome.FAIL)).keys])
    over_s = holds.t_end_s + history.ttl_s(holds)
    ended = holds.where(over_s <= seen.duration_s)  # no time to live is none that was over
    return share_among(ended.actors, ended.t_invoke_s, ~np.asarray(pc.is_in(ended.keys, value_set=used)))
