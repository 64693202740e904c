"""The load generator's own pulse: what it could not have measured well, it must say.

The loop's lag is how much later than asked a 50 ms sleep ends; everything that the users do waits as long.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from time import monotonic
from typing import Final, NoReturn

import gevent
import psutil

from harness.swarm.recorder import Recorder

_SAMPLE_S: Final = 0.05
_SAMPLES_PER_ROW: Final = 20


def watch(recorder: Recorder, live_users: Callable[[], int]) -> NoReturn:
    """Endless: a row of GENERATOR for each second."""
    process = psutil.Process()
    process.cpu_percent()
    fds_limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2**31 - 1)
    while True:
        lags_ms = sorted(_lag_ms() for _ in range(_SAMPLES_PER_ROW))
        with process.oneshot():
            cpu_percent, rss_bytes = process.cpu_percent(), process.memory_info().rss
        recorder.row(
            "generator",
            (
                monotonic(),
                lags_ms[-1],
                lags_ms[int(0.99 * (len(lags_ms) - 1))],
                cpu_percent,
                rss_bytes,
                process.num_fds(),
                fds_limit,
                live_users(),
                recorder.samples_recorded,
            ),
        )


def _lag_ms() -> float:
    due_s = monotonic() + _SAMPLE_S
    gevent.sleep(_SAMPLE_S)
    return max(0.0, (monotonic() - due_s) * 1000.0)
