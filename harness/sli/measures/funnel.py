"""Measures the funnel: errors, payment failures, and holds that expired."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.operations import Operation, PayValue
from harness.record.schema import Outcome
from harness.sli.measured import Measured, Observations, ratio
from harness.sli.measures.latency import in_window
from harness.sli.samples import Samples, share_of, users_of

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
    purchases: dict[str, list[Operation[PayValue]]] = {}
    for pay in seen.history.pays:
        purchases.setdefault(pay.key, []).append(pay)
    good = [tries for tries in purchases.values() if not any(pay.value.declined_on_purpose for pay in tries)]
    if seen.history.keeps_nothing:  # then "the last one went" is the right answer
        good = [tries for tries in good if tries[-1].error != _CONFLICT]
    return share_of([(tries[0].actor, tries[0].t_invoke_s, not any(pay.ok for pay in tries)) for tries in good])


def hold_expiry_ratio(seen: Observations) -> Samples:
    """Share of holds that ran out (not paid for, declined or released), among holds that could run out in the run."""
    history = seen.history
    used = {pay.value.hold_id for pay in history.pays if pay.outcome is not Outcome.FAIL or pay.error == "declined"}
    used |= {release.key for release in history.releases if release.outcome is not Outcome.FAIL}
    timed = [hold for hold in map(history.timed, history.holds) if hold.ok and hold.value.ttl_s is not None]
    ended = [hold for hold in timed if hold.t_end_s + (hold.value.ttl_s or 0.0) <= seen.duration_s]
    return share_of([(hold.actor, hold.t_invoke_s, hold.key not in used) for hold in ended])
