"""Guards: metrics read during the run, so that an experiment that does too much harm is ended.

A metric that cannot be read breaks no guard, because the fault may have hit its source; and it shows no steady state
either.
"""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from chaos.specification.experiment import Guard
from harness.record.collecting.fetch import Fetcher, FetchFailed
from harness.record.collecting.scrape import PAGE_BYTES_MAX

_EVERY_S: Final = 0.5
_TIMEOUT_S: Final = 2.0
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "equals": operator.eq,
    "at_least": operator.ge,
    "at_most": operator.le,
}

Sample = tuple[str, Mapping[str, str], float]
"""Name, labels, value."""


def holds(guard: Guard, samples: Iterable[Sample]) -> bool | None:
    """Whether the guard holds for every matching series; None when no series matches."""
    values = [
        value for name, labels, value in samples if name == guard.metric and guard.labels.items() <= labels.items()
    ]
    return all(_COMPARE[guard.compare](value, guard.value) for value in values) if values else None


class GuardWatch:
    """Reads the metrics twice a second in a thread of its own. `metrics`: source → URL of a Prometheus page.

    `headers`: source → what is sent with its requests. `verify`: a file of certificates to trust, or the usual ones.
    """

    def __init__(
        self,
        guards: Iterable[Guard],
        metrics: Mapping[str, str],
        headers: Mapping[str, Mapping[str, str]] | None = None,
        verify: str | bool = True,
    ) -> None:
        self._guards = tuple(guards)
        known = headers or {}
        self._pages = tuple(page_of(url, known.get(name), verify) for name, url in metrics.items())
        self._lock = threading.Lock()
        self._seen: dict[str, bool | None] = {}
        self._broken_since_s: dict[str, float] = {}
        self._load: dict[str, float] = {}
        self.failure = ""  # how the thread died; "" while it lives
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="guards", daemon=True)

    def start(self) -> None:
        """Begin to read; does nothing without guards."""
        if self._guards:
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_TIMEOUT_S * 2)

    def saw(self, figures: Mapping[str, float]) -> None:
        """Take what the load generator measures: load_p99_ms, load_rps."""
        with self._lock:
            self._load = dict(figures)

    def unsteady(self, guards: Iterable[Guard]) -> tuple[str, ...]:
        """The names of these guards that are not known to hold now."""
        with self._lock:
            return tuple(guard.name for guard in guards if not self._seen.get(_key(guard)))

    def broken(self, guards: Iterable[Guard]) -> tuple[str, ...]:
        """The names of these guards that have been false for their `for_s`."""
        now_s = time.monotonic()
        with self._lock:
            return tuple(
                guard.name
                for guard in guards
                if now_s - self._broken_since_s.get(_key(guard), now_s + guard.for_s + 1) >= guard.for_s
            )

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # noqa: BLE001 - the conductor tells of it
            self.failure = f"the thread that watches the guards died: {type(error).__name__}: {error}"

    def _watch(self) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(self._pages)), thread_name_prefix="guard") as pool:
            while not self._stop.wait(_EVERY_S):
                samples = list(pool.map(samples_of, self._pages))
                self._judge([sample for of_page in samples for sample in of_page])
        for page in self._pages:
            page.close()

    def _judge(self, samples: list[Sample]) -> None:
        now_s = time.monotonic()
        with self._lock:
            everything = [*samples, *((name, {}, value) for name, value in self._load.items())]
            for guard in self._guards:
                key = _key(guard)
                self._seen[key] = holds(guard, everything)
                if self._seen[key] is False:
                    self._broken_since_s.setdefault(key, now_s)
                else:
                    self._broken_since_s.pop(key, None)


def _key(guard: Guard) -> str:
    return repr(guard)


def page_of(url: str, headers: Mapping[str, str] | None = None, verify: str | bool = True) -> Fetcher:
    """A Prometheus page, to be read again and again. `verify`: a file of certificates to trust, or the usual ones."""
    return Fetcher(url, headers, verify=verify, within_s=_TIMEOUT_S, bytes_max=PAGE_BYTES_MAX)


def samples_of(page: Fetcher) -> list[Sample]:
    """All samples of the page; none when it cannot be read."""
    try:
        text = page.fetch().body.decode()
        return [
            (sample.name, sample.labels, sample.value)
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        ]
    except (FetchFailed, ValueError):
        return []
