"""Health of the load generator: samples of each worker's loop, from which `harness.judging.validity` judges it.

The loop's lag is how much later than asked a 50 ms sleep ends; everything that the users do waits as long.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from time import monotonic, process_time
from typing import Final, NoReturn

import gevent
import psutil

from harness.processes.ports import port_range
from harness.swarm.client.transport import GUARD
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.rows import GeneratorRow

_SAMPLE_S: Final = 0.05
_ROW_S: Final = 1.0


def watch(recorder: Recorder, live_users: Callable[[], int], source_addresses: int = 1) -> NoReturn:
    """Endless: a row of GENERATOR for each second. `source_addresses`: how many this machine's load comes from."""
    process = psutil.Process()
    pace = _CpuPace()
    rss_bytes, fds = process.memory_info().rss, process.num_fds()
    fds_limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 2**31 - 1)
    first_port, last_port = port_range()
    ports_limit = (last_port - first_port + 1) * source_addresses
    while True:
        lags_ms = sorted(_lags_ms())
        try:
            rss_bytes, fds = process.memory_info().rss, process.num_fds()
        except OSError:  # to look takes a descriptor, and there is none
            fds = fds_limit
        row = GeneratorRow(
            t_s=monotonic(),
            loop_lag_ms_max=lags_ms[-1],
            loop_lag_ms_p99=lags_ms[int(0.99 * (len(lags_ms) - 1))],
            cpu_percent=pace.percent(),
            rss_bytes=rss_bytes,
            fds=fds,
            fds_limit=fds_limit,
            users=live_users(),
            samples=recorder.samples_recorded,
            ports=GUARD.ports_in_use,
            ports_limit=ports_limit,
        )
        recorder.row("generator", row)


class _CpuPace:
    """This process's CPU time against the clock, in % of a core since the last look."""

    def __init__(self) -> None:
        self._at_s, self._used_s = monotonic(), process_time()

    def percent(self) -> float:
        at_s, used_s = monotonic(), process_time()
        share = (used_s - self._used_s) / max(at_s - self._at_s, _SAMPLE_S)
        self._at_s, self._used_s = at_s, used_s
        return 100.0 * share


def _lags_ms() -> Iterator[float]:
    """A second's worth; of a loop that hardly turns, as many as came."""
    until_s = monotonic() + _ROW_S
    while monotonic() < until_s:
        yield _lag_ms()


def _lag_ms() -> float:
    due_s = monotonic() + _SAMPLE_S
    gevent.sleep(_SAMPLE_S)
    return max(0.0, (monotonic() - due_s) * 1000.0)
