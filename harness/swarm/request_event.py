"""Locust's `request` event, told at a third of its price while nobody but Locust's own statistics listens.

`EventHook.fire` and two calls of `StatsEntry.log` cost more than reading a response's head. What they do for a request
that worked is a dozen additions, which `RequestEvent` makes itself, bucketed once; as soon as anybody else listens, and
for every failure, the event is fired as ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Final

from locust import stats as locust_stats
from locust.env import Environment

_OWN: Final = "locust.runners"  # the module of the one listener that only keeps statistics


class RequestEvent:
    """What a recorder calls for each request, in place of `events.request.fire`; see `RequestHook`.

    The statistics are looked up each time: making a worker runner gives its environment new ones.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._hook = environment.events.request

    def __call__(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float,
        response_length: int,
        exception: Exception | None,
        context: Mapping[str, object],
    ) -> None:
        """One request has ended. response_time in ms."""
        listeners = self._hook._handlers
        if exception is not None or len(listeners) != 1 or listeners[0].__module__ != _OWN:
            self._hook.fire(  # type: ignore[no-untyped-call]
                request_type=request_type,
                name=name,
                response_time=response_time,
                response_length=response_length,
                exception=exception,
                context=context,
            )
            return
        now_s = time()
        second = int(now_s)
        bucket = locust_stats.bucket_response_time(response_time)
        stats = self._environment.stats
        for entry in (stats.total, stats.entries[(name, request_type)]):
            last_s = entry.last_request_timestamp
            if entry.use_response_times_cache and last_s and second > int(last_s):
                entry._cache_response_times(second - 1)
            entry.last_request_timestamp = now_s
            entry.num_requests += 1
            entry.num_reqs_per_sec[second] += 1
            entry.total_response_time += response_time  # type: ignore[assignment]
            entry.response_times[bucket] += 1
            entry.total_content_length += response_length
            least_ms = entry.min_response_time
            entry.min_response_time = response_time if least_ms is None else min(least_ms, response_time)  # type: ignore[assignment]
            entry.max_response_time = max(entry.max_response_time, response_time)  # type: ignore[assignment]
