"""Estimates how far the platform's clock is ahead of ours, from its own time stamps."""

from __future__ import annotations

import numpy as np

from harness.sli.measured import Floats


def platform_ahead_s(received_s: Floats, sent_s: Floats) -> float:
    """Estimate how many seconds the platform's clock is ahead of ours, from when events came and were stamped as sent.

    Nothing arrives before it was sent, so the result is a lower bound: it assumes that the fastest delivery took no
    time. A stamp is NaN when the platform does not give one. The result is 0 when no stamp lies in the future, because
    a clock that is behind cannot be told from slow delivery.
    """
    early_s = sent_s - received_s
    early_s = early_s[np.isfinite(early_s)]
    return max(0.0, float(early_s.max())) if early_s.size else 0.0
