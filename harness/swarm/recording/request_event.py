"""Keeps Locust's statistics for hundreds of requests at a time while no other listener hears its `request` event.

`EventHook.fire` and two calls of `StatsEntry.log` cost more than reading a response's head. For a request that worked
they make a dozen additions, so `RequestEvent` collects such requests, adds them up in a `StatsEntry` and lets Locust
join that with its own entries. For failures, and as soon as there is another listener, it fires the event at once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import monotonic, time
from typing import Final

from locust.env import Environment
from locust.stats import StatsEntry, bucket_response_time

from harness.swarm.recording.request_hook import EachFired
from harness.swarm.recording.rows import RequestRow

_OWN: Final = "locust.runners"  # the module of the one listener that only keeps statistics
_PUT_OFF_MAX: Final = 1000  # added up in half a millisecond


class RequestEvent:
    """A recorder calls it for each request; see `RequestHook`. The statistics are complete after `catch_up`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._hook = environment.events.request
        self._each = EachFired(self._hook.fire)
        self._put_off: list[RequestRow] = []

    def note(self, row: RequestRow) -> None:
        """One request has ended."""
        listeners = self._hook._handlers  # Locust has no public list of them
        if row.error or len(listeners) != 1 or listeners[0].__module__ != _OWN:
            self.catch_up()
            self._each.note(row)
            return
        self._put_off.append(row)
        if len(self._put_off) >= _PUT_OFF_MAX:
            self.catch_up()

    def catch_up(self) -> None:
        """Add up the requests that were put off.

        The statistics are looked up each time: making a worker runner gives its environment new ones.
        """
        if not self._put_off:
            return
        rows, self._put_off = self._put_off, []
        wall_s = time() - monotonic()
        by_entry: dict[tuple[str, str], list[RequestRow]] = defaultdict(list)
        for row in rows:
            by_entry[(row.step, row.method)].append(row)
        stats = self._environment.stats
        for (name, request_type), ended in by_entry.items():
            batch = _added_up(StatsEntry(stats, name, request_type), ended, wall_s)
            stats.total.extend(batch)
            stats.entries[(name, request_type)].extend(batch)


def _added_up(batch: StatsEntry, rows: list[RequestRow], wall_s: float) -> StatsEntry:
    """What `StatsEntry.log` makes of these requests, none of which failed; `wall_s`: unix time − the rows' clock."""
    times_ms = [(row.t_end_s - row.t_start_s) * 1000.0 for row in rows]
    batch.num_requests = len(rows)
    batch.num_reqs_per_sec = Counter(int(row.t_end_s + wall_s) for row in rows)
    batch.last_request_timestamp = max(row.t_end_s for row in rows) + wall_s
    batch.response_times = Counter(map(bucket_response_time, times_ms))
    batch.total_response_time = sum(times_ms)  # type: ignore[arg-type]
    batch.min_response_time = min(times_ms)  # type: ignore[assignment]
    batch.max_response_time = max(times_ms)  # type: ignore[assignment]
    batch.total_content_length = sum(row.response_bytes for row in rows)
    return batch
