"""How far people came: who bought, who was turned away, what was lost on the way."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.audit.history import Operation, PayValue
from harness.record.schema import Outcome
from harness.sli.latency import in_window
from harness.sli.measured import Measured, Observations, ratio


def outcome_share(
    requests: pa.Table, step: str, outcome: Outcome, t_from_s: float = -np.inf, t_to_s: float = np.inf
) -> Measured:
    """Share of the requests of a step ("" for all), sent in [t_from_s, t_to_s), that ended with this outcome."""
    chosen = in_window(requests, step, t_from_s, t_to_s)
    return ratio(pc.sum(pc.equal(chosen["outcome"], outcome.value)).as_py() or 0, chosen.num_rows)


def error_ratio(seen: Observations) -> Measured:
    """Requests that were refused, cut off or timed out, of all requests before settling."""
    chosen = in_window(seen.requests, "", -np.inf, np.inf)
    return ratio(pc.sum(pc.not_equal(chosen["outcome"], Outcome.OK.value)).as_py() or 0, chosen.num_rows)


def checkout_completion_ratio(seen: Observations) -> Measured:
    """Fans who were told that an order of theirs is confirmed, of all fans who paid with a card that is good."""
    buyers = {pay.actor for pay in seen.history.pays if not pay.value.declined_on_purpose}
    told = {pay.actor for pay in seen.history.pays if pay.ok and pay.value.state == "confirmed"}
    told |= {look.actor for look in seen.history.lookups if look.ok and look.value.state == "confirmed"}
    return ratio(len(buyers & told), len(buyers))


def payment_failure_ratio(seen: Observations) -> Measured:
    """Purchases, by idempotency key, that never got a yes or an "in progress", of all with a card that is good."""
    purchases: dict[str, list[Operation[PayValue]]] = {}
    for pay in seen.history.pays:
        purchases.setdefault(pay.key, []).append(pay)
    good = [tries for tries in purchases.values() if not any(pay.value.declined_on_purpose for pay in tries)]
    return ratio(sum(1 for tries in good if not any(pay.ok for pay in tries)), len(good))


def hold_expiry_ratio(seen: Observations) -> Measured:
    """Holds that ran out (neither paid for, nor declined, nor released), of all holds that could run out in the run."""
    history = seen.history
    used = {pay.value.hold_id for pay in history.pays if pay.outcome is not Outcome.FAIL or pay.error == "declined"}
    used |= {release.key for release in history.releases if release.outcome is not Outcome.FAIL}
    ended = [hold for hold in history.holds if hold.ok and hold.t_end_s + (hold.value.ttl_s or 0.0) <= seen.duration_s]
    return ratio(sum(1 for hold in ended if hold.key not in used), len(ended))


def stale_map_ratio(seen: Observations) -> Measured:
    """Holds that conflicted, of all that were granted or conflicted.

    Fans ask only for seats that their last map showed free, so a conflict means that the map was behind.
    """
    holds = seen.history.holds
    granted = sum(1 for hold in holds if hold.ok)
    conflicts = sum(1 for hold in holds if hold.error == "conflict")
    return ratio(conflicts, granted + conflicts)
