"""Reads the platform's Prometheus pages into the record's `metrics` table, on the release clock.

It runs on a thread of its own beside the rehearsal and never goes through a fault proxy. A source that does not answer
leaves a gap, never a zero; a source that never gave a page becomes an anomaly that says what it answered instead. The
scraper writes its own lateness into the same table, so that a gap of the scraper's is not taken for the platform's.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, NamedTuple, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

from harness.errors import EnvironmentProblem, NoVerdict
from harness.record.collecting.fetch import Fetcher, FetchFailed
from harness.record.paths import RunPaths
from harness.record.schema import MACHINE_BUSY, MACHINE_CORES, OWN_SOURCE, SCRAPE_LATE, Anomaly
from harness.record.writer import Row, TableWriter

PERIOD_S: Final = 0.5
_ANSWERS_WITHIN_S: Final = 2.0
PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
_HTML: Final = (b"<!doctype", b"<html")
_LANGUAGE_METRICS: Final = ("python_", "process_")
_KEPT: Final = "process_cpu_seconds"  # shows which process saturates first


class Scraper:
    """Scrapes `sources` (name → URL) every `PERIOD_S` from `start` to the end of the context.

    `headers`: source → headers of its requests. `verify`: a file of certificates to trust, or the usual ones. Leaving
    the context raises NoVerdict when the scraper's thread has died.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        paths: RunPaths,
        headers: Mapping[str, Mapping[str, str]] | None = None,
        *,
        verify: str | bool = True,
    ) -> None:
        self._pages = {
            name: MetricsPage(url, (headers or {}).get(name), verify=verify) for name, url in sources.items()
        }
        self._writer = TableWriter(paths, "metrics")
        self._answered: set[str] = set()
        self._t0_monotonic_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="scraper", daemon=True)
        self._problem: EnvironmentProblem | None = None
        self.failure = ""  # how the thread died; "" while it lives or when it ended in order

    def start(self, t0_monotonic_s: float) -> None:
        """Begin to scrape; times are relative to `t0_monotonic_s` on this machine's monotonic clock."""
        self._t0_monotonic_s = t0_monotonic_s
        self._thread.start()

    def anomalies(self) -> tuple[Anomaly, ...]:
        """What a reader must know about the metrics. Only after the context has ended."""
        found = [
            Anomaly(t_s=None, source=name, text=f"the metrics of {name} {page.instead or 'never answered'}")
            for name, page in sorted(self._pages.items())
            if name not in self._answered
        ]
        if self._problem is not None:
            found.append(Anomaly(t_s=None, source="metrics", text=str(self._problem)))
        return tuple(found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._writer.finish()
        except EnvironmentProblem as problem:
            self._problem = self._problem or problem
        if self.failure and kind is None:
            raise NoVerdict(self.failure, hint="rehearse again")

    def _loop(self) -> None:
        try:
            self._scrape_on()
        except EnvironmentProblem as problem:
            self._problem = problem
        except Exception as error:  # noqa: BLE001 - the rehearsal tells of it
            self.failure = f"the thread that scrapes the metrics died: {type(error).__name__}: {error}"

    def _scrape_on(self) -> None:
        """Each source is read in a thread of its own, so that one that hangs delays no other."""
        with ThreadPoolExecutor(max_workers=max(1, len(self._pages)), thread_name_prefix="scrape") as pool:
            reading: dict[str, Future[_Reading]] = {}
            due_s = time.monotonic()
            while not self._stop.wait(max(0.0, due_s - time.monotonic())):
                late_s = time.monotonic() - due_s
                for source in self._pages:
                    if source not in reading:
                        reading[source] = pool.submit(self._read, source)
                wait(reading.values(), timeout=PERIOD_S)
                late_s += self._take(reading)
                ended_s = time.monotonic()
                self._note_own(ended_s, late_s)
                due_s = max(due_s + PERIOD_S, ended_s)
            wait(reading.values())
            self._take(reading)
        for page in self._pages.values():
            page.close()

    def _read(self, source: str) -> _Reading:
        begun_s = time.monotonic()
        rows = self._pages[source].rows(source, begun_s - self._t0_monotonic_s)
        return _Reading(rows, max(0.0, time.monotonic() - begun_s - _ANSWERS_WITHIN_S))

    def _take(self, reading: dict[str, Future[_Reading]]) -> float:
        """Keep what was read, and forget it there. Returns by how much the slowest took longer than a source may."""
        overrun_s = 0.0
        for source in [source for source, future in reading.items() if future.done()]:
            read = reading.pop(source).result()
            overrun_s = max(overrun_s, read.overrun_s)
            if read.rows is not None:
                self._writer.append(read.rows)
                self._answered.add(source)
        return overrun_s

    def _note_own(self, ended_s: float, late_s: float) -> None:
        t_s = ended_s - self._t0_monotonic_s
        own = {SCRAPE_LATE: late_s, MACHINE_BUSY: _machine_busy_s(), MACHINE_CORES: float(os.cpu_count() or 1)}
        row = {"t_s": t_s, "source": OWN_SOURCE, "labels": ""}
        self._writer.append([{**row, "name": name, "value": value} for name, value in own.items()])


def _machine_busy_s() -> float:
    """How long the cores of this machine were not free since it was started, all together."""
    times = psutil.cpu_times()
    return float(sum(times[:3]) + sum(getattr(times, name, 0.0) for name in ("irq", "softirq", "steal")))


class _Reading(NamedTuple):
    """What one source said; null: no page. `overrun_s`: how much longer than a source may take."""

    rows: list[Row] | None
    overrun_s: float


class MetricsPage:
    """One source. `instead`: what it answered last that was no page of metrics; "" for nothing."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, *, verify: str | bool = True) -> None:
        self.instead = ""
        self._fetcher = Fetcher(url, headers, verify=verify, within_s=_ANSWERS_WITHIN_S, bytes_max=PAGE_BYTES_MAX)

    def rows(self, source: str, t_s: float) -> list[Row] | None:
        """What it says now, as rows of METRICS; null: it gave no page."""
        try:
            page = self._fetcher.fetch()
        except FetchFailed as failure:
            self.instead = str(failure)
            return None
        if "text/html" in page.content_type.lower() or page.body.lstrip()[:9].lower().startswith(_HTML):
            self.instead = "answered HTML, no page of metrics"
            return None
        try:
            return list(rows_of(page.body.decode("utf-8", "replace"), source, t_s))
        except Exception:  # noqa: BLE001 - the parser stumbles in many ways
            self.instead = "answered no page of metrics"
            return None

    def close(self) -> None:
        """Drop the connection."""
        self._fetcher.close()


def rows_of(page: str, source: str, t_s: float) -> Iterable[Row]:
    """A Prometheus page as rows of METRICS, without the metrics of the language runtime. Raises ValueError on a bad
    page.
    """
    for family in text_string_to_metric_families(page):
        if family.name.startswith(_LANGUAGE_METRICS) and family.name != _KEPT:
            continue
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            labels = ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))
            yield {"t_s": t_s, "source": source, "name": sample.name, "labels": labels, "value": float(sample.value)}
