"""Whom a recorder tells of each request, row by row. Nothing here knows Locust: `request_event` has the cheap way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from harness.swarm.recording.rows import RequestRow


class FireRequest(Protocol):
    """Locust's `events.request.fire`."""

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
        """Tell the listeners of one request. response_time in ms."""


class RequestHook(Protocol):
    """What a recorder calls for each request."""

    def note(self, row: RequestRow) -> None:
        """One request has ended."""

    def catch_up(self) -> None:
        """Tell what was put off."""


class RequestFailed(Exception):
    """What Locust's statistics show for a failed request."""


class EachFired:
    """Fires Locust's event for each request, at once."""

    def __init__(self, fire: FireRequest) -> None:
        self._fire = fire
        self._failures: dict[str, RequestFailed] = {}

    def note(self, row: RequestRow) -> None:
        """One request has ended."""
        self._fire(
            request_type=row.method,
            name=row.step,
            response_time=(row.t_end_s - row.t_start_s) * 1000.0,
            response_length=row.response_bytes,
            exception=self._failures.setdefault(row.error, RequestFailed(row.error)) if row.error else None,
            context={},
        )

    def catch_up(self) -> None:
        """Nothing is ever put off."""
