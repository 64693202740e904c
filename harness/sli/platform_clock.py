"""Estimates how far the platform's clock is ahead of ours, from its own time stamps."""

from __future__ import annotations

import numpy as np

from harness.sli.measured import Floats


def platform_ahead_s(received_s: Floats, sent_s: Floats) -> float:
    """Estimate from when each event came and when the platform says that it was sent (NaN: it does not say).

    Nothing arrives before it was sent, so this is the least that the clock can be ahead: the fastest delivery is taken
    to have needed no time. 0 where no stamp lies in the future: a clock that is behind looks like slow delivery.
    """
    early_s = sent_s - received_s
    early_s = early_s[np.isfinite(early_s)]
    return max(0.0, float(early_s.max())) if early_s.size else 0.0
