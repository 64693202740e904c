"""Measures for how long fans need what is kept for them: from being granted it until they have paid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from harness.record.verdict import Figure
from harness.sli.examinations.figures import figure
from harness.sli.measured import Observations, percentile

_SHARES: Final = (0.5, 0.95, 0.99)


def kept(seen: Observations) -> Iterator[Figure]:
    """From a granted hold to the answer to its payment, how long holds were granted for, and how many were not paid.

    Nothing where choosing keeps nothing, or nothing was granted.
    """
    holds, pays = seen.everybody.holds.ok, seen.everybody.pays.ok
    if seen.everybody.keeps_nothing or not len(holds):
        return
    paid_s = dict(zip(pays.column("hold_id").to_pylist(), pays.t_end_s.tolist(), strict=True))
    granted_s = zip(holds.rows["key"].to_pylist(), holds.t_end_s.tolist(), strict=True)
    took_s = [paid_s[key] - t_s for key, t_s in granted_s if key in paid_s]
    for share in _SHARES:
        title = f"From a hold to the answer to its payment, p{share * 100:.0f}"
        yield figure(f"to_pay_p{share * 100:.0f}_s", title, percentile(took_s, share), "s", len(took_s))
    ttl_s = seen.everybody.ttl_s(holds)
    told_s = ttl_s[~np.isnan(ttl_s)]
    shortest = float(told_s.min()) if len(told_s) else None
    yield figure("ttl_s", "Shortest time that a hold was granted for", shortest, "s", len(told_s))
    yield figure("never_paid", "Holds that were never paid", len(holds) - len(took_s), "holds", len(holds))
