"""Whom a recorder tells of each request, row by row. Nothing here knows Locust: `request_event` has the cheap way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Cell = str | int | float | None
Row = tuple[Cell, ...]


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

    def note(self, row: Row) -> None:
        """One request has ended: its row of REQUESTS, without `worker`."""

    def catch_up(self) -> None:
        """Tell what was put off."""


class RequestFailed(Exception):
    """What Locust's statistics show for a failed request."""


class EachFired:
    """Fires Locust's event for each request, at once."""

    def __init__(self, fire: FireRequest) -> None:
        self._fire = fire
        self._failures: dict[str, RequestFailed] = {}

    def note(self, row: Row) -> None:
        """One request has ended."""
        _, _, _, step, method, _, t_start_s, _, t_end_s, _, _, error, size, _ = row
        self._fire(
            request_type=method,  # type: ignore[arg-type]
            name=step,  # type: ignore[arg-type]
            response_time=(t_end_s - t_start_s) * 1000.0,  # type: ignore[operator]
            response_length=size,  # type: ignore[arg-type]
            exception=self._failures.setdefault(str(error), RequestFailed(error)) if error else None,
            context={},
        )

    def catch_up(self) -> None:
        """Nothing is ever put off."""
