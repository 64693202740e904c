"""The metrics page of a process, or of all worker processes of one server together.

Several workers answer at one address, so each of them must show the figures of all: each keeps its figures in a file of
a shared directory (prometheus_client's multiprocess mode), which must be set before that library is first imported.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
_LIVE_FILE: Final = re.compile(r"gauge_live\w+_(\d+)\.db")


def share_metrics() -> tempfile.TemporaryDirectory[str]:
    """Makes the directory that the worker processes share; keep it as long as they live."""
    directory = tempfile.TemporaryDirectory(prefix="gatecrash-metrics-")
    os.environ[DIRECTORY] = directory.name
    return directory


def exposition() -> tuple[bytes, str]:
    """The page in Prometheus' text format, and its content type."""
    from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(), CONTENT_TYPE_LATEST
    _forget_the_dead(Path(directory))
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry) + _cpu_seconds(Path(directory)), CONTENT_TYPE_LATEST


def _forget_the_dead(directory: Path) -> None:
    """Forgets the gauges of workers that died (their sockets are closed); their counters stay."""
    for path in directory.glob("gauge_live*.db"):
        found = _LIVE_FILE.fullmatch(path.name)
        if found and not Path(f"/proc/{found[1]}").exists() and Path("/proc").exists():
            path.unlink(missing_ok=True)


def _cpu_seconds(directory: Path) -> bytes:
    """`process_cpu_seconds_total` of all workers; the library has it for a single process only."""
    total_s = sum(_worker_cpu_seconds(directory))
    return f"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {total_s}\n".encode()


def _worker_cpu_seconds(directory: Path) -> Iterator[float]:
    tick_s = 1.0 / os.sysconf("SC_CLK_TCK")
    for pid in {path.stem.rpartition("_")[2] for path in directory.glob("*.db")}:
        with contextlib.suppress(OSError, ValueError, IndexError):
            user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
            yield (int(user) + int(system)) * tick_s
