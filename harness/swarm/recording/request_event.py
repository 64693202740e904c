"""Locust's statistics, kept for hundreds of requests at a time while nobody else listens to its `request` event.

`EventHook.fire` and two calls of `StatsEntry.log` cost more than reading a response's head. What they do for a request
that worked is a dozen additions, and most of those are the same for all that ended in one second: `RequestEvent` puts
such requests off and adds them up together. As soon as anybody else listens, and for every failure, the event is fired
at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import monotonic, time
from typing import Final

from locust import stats as locust_stats
from locust.env import Environment

from harness.swarm.recording.request_hook import EachFired
from harness.swarm.recording.rows import RequestRow

_OWN: Final = "locust.runners"  # the module of the one listener that only keeps statistics
_PUT_OFF_MAX: Final = 1000  # added up in half a millisecond
_Second = tuple[int, str, str]  # unix time, name, request type


class RequestEvent:
    """What a recorder calls for each request; see `RequestHook`. The statistics are whole after `catch_up`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._hook = environment.events.request
        self._each = EachFired(self._hook.fire)
        self._put_off: list[RequestRow] = []

    def note(self, row: RequestRow) -> None:
        """One request has ended."""
        listeners = self._hook._handlers
        if row.error or len(listeners) != 1 or listeners[0].__module__ != _OWN:
            self.catch_up()
            self._each.note(row)
            return
        self._put_off.append(row)
        if len(self._put_off) >= _PUT_OFF_MAX:
            self.catch_up()

    def catch_up(self) -> None:
        """Add up what was put off.

        The statistics are looked up each time: making a worker runner gives its environment new ones.
        """
        if not self._put_off:
            return
        rows, self._put_off = self._put_off, []
        wall_s = time() - monotonic()
        seconds: dict[_Second, list[RequestRow]] = defaultdict(list)
        for row in rows:
            seconds[(int(row.t_end_s + wall_s), row.step, row.method)].append(row)
        stats = self._environment.stats
        for (_, name, request_type), ended in sorted(seconds.items()):
            last_s = max(row.t_end_s for row in ended) + wall_s
            times_ms = [(row.t_end_s - row.t_start_s) * 1000.0 for row in ended]
            buckets = Counter(map(locust_stats.bucket_response_time, times_ms))
            size = sum(row.response_bytes for row in ended)
            for entry in (stats.total, stats.entries[(name, request_type)]):
                _add(entry, last_s, times_ms, buckets, size)


def _add(
    entry: locust_stats.StatsEntry, last_s: float, times_ms: list[float], buckets: Counter[int], size: int
) -> None:
    """What `StatsEntry.log` does, for all requests of an entry that ended in the second of `last_s` and worked."""
    second, before_s = int(last_s), entry.last_request_timestamp
    if entry.use_response_times_cache and before_s and second > int(before_s):
        entry._cache_response_times(second - 1)
    entry.last_request_timestamp = last_s if before_s is None else max(before_s, last_s)
    entry.num_requests += len(times_ms)
    entry.num_reqs_per_sec[second] += len(times_ms)
    entry.total_response_time += sum(times_ms)  # type: ignore[assignment]
    for bucket, count in buckets.items():
        entry.response_times[bucket] += count
    entry.total_content_length += size
    least_ms, most_ms, before_ms = min(times_ms), max(times_ms), entry.min_response_time
    entry.min_response_time = least_ms if before_ms is None else min(before_ms, least_ms)  # type: ignore[assignment]
    entry.max_response_time = max(entry.max_response_time, most_ms)  # type: ignore[assignment]
