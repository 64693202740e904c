"""The platform's metrics while Chaos Toolkit runs, as the table of a record, so that our own judges can read it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import requests

from harness.record.schema import TABLES
from harness.record.scrape import PERIOD_S, rows_of
from harness.record.writer import Row

_TIMEOUT_S: Final = 1.0


class Metrics:
    """Scrapes `sources` (name → URL) from `start` on, in a thread that ends with the process; times are T0 seconds."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = dict(sources)
        self._rows: list[Row] = []
        self._lock = threading.Lock()
        self._t0_monotonic_s = 0.0
        self._thread = threading.Thread(target=self._scrape, name="metrics", daemon=True)

    def start(self, t0_monotonic_s: float) -> None:
        """Begin to scrape; does nothing without a source."""
        self._t0_monotonic_s = t0_monotonic_s
        if self._sources:
            self._thread.start()

    def table(self) -> pa.Table:
        """The samples so far: METRICS of harness.record.schema."""
        with self._lock:
            return pa.Table.from_pylist([dict(row) for row in self._rows], schema=TABLES["metrics"])

    def _scrape(self) -> None:
        forever = threading.Event()
        with requests.Session() as session:
            session.trust_env = False
            while not forever.wait(PERIOD_S):
                for source, url in self._sources.items():
                    self._add(session, source, url)

    def _add(self, session: requests.Session, source: str, url: str) -> None:
        t_s = time.monotonic() - self._t0_monotonic_s
        with contextlib.suppress(requests.RequestException, ValueError):  # a failed scrape leaves a gap
            page = session.get(url, timeout=_TIMEOUT_S)
            page.raise_for_status()
            rows = list(rows_of(page.text, source, t_s))
            with self._lock:
                self._rows += rows
