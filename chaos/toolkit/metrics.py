"""The platform's metrics while Chaos Toolkit runs, as the table of a record, so that our own judges can read it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pyarrow as pa

from harness.record.collecting.scrape import PERIOD_S, MetricsPage
from harness.record.schema import TABLES
from harness.record.writer import Row


class Metrics:
    """Scrapes `sources` (name → URL) from `start` on, in a thread that ends with the process; times are T0 seconds."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._pages = {name: MetricsPage(url) for name, url in sources.items()}
        self._rows: list[Row] = []
        self._lock = threading.Lock()
        self._t0_monotonic_s = 0.0
        self._thread = threading.Thread(target=self._scrape, name="metrics", daemon=True)

    def start(self, t0_monotonic_s: float) -> None:
        """Begin to scrape; does nothing without a source."""
        self._t0_monotonic_s = t0_monotonic_s
        if self._pages:
            self._thread.start()

    def table(self) -> pa.Table:
        """The samples so far: METRICS of harness.record.schema."""
        with self._lock:
            return pa.Table.from_pylist([dict(row) for row in self._rows], schema=TABLES["metrics"])

    def _scrape(self) -> None:
        forever = threading.Event()
        while not forever.wait(PERIOD_S):
            for source, page in self._pages.items():
                rows = page.rows(source, time.monotonic() - self._t0_monotonic_s)
                with self._lock:
                    self._rows += rows or ()  # a failed scrape leaves a gap
