"""The types of an HTTP call: the endpoint that it asks, and the response that ended it."""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import Final

import msgspec

from harness.swarm.client.message import Head

_WAIT_S_MAX: Final = 1e8


def seconds_until(field: str, now_wall_s: float) -> float | None:
    """How long to wait from now, given as seconds or as an HTTP date; 0.0 for a date that is past, null for neither.

    A date without a zone of its own ("-0000", and C's asctime) is in UTC (RFC 9110, section 5.6.7).
    """
    if field.isascii() and field.replace(".", "", 1).isdigit():
        return min(float(field), _WAIT_S_MAX)
    try:
        date = parsedate_to_datetime(field)
        return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_wall_s)
    except (ValueError, OverflowError, IndexError, TypeError):  # the parser stumbles in all these ways
        return None


class Endpoint(msgspec.Struct, frozen=True):
    """One kind of call. `expects`: the statuses that are an answer. `idempotent`: sending it twice does no harm.

    `recorded_as`: what the record calls the method, where that is not the method itself ("SSE"). `page`: which one it
    is of the several pages of a step. `accept_encoding`: a body that comes encoded is counted and handed over as it
    came; nothing is decoded here.
    """

    step: str
    method: str
    expects: frozenset[int]
    idempotent: bool = False
    recorded_as: str = ""
    accept_encoding: str = "identity"
    page: str = ""


class Response:
    """How a call ended. status 0: no usable response. `outcome` and `error` as in REQUESTS; `detail`: for people."""

    __slots__ = ("_head", "body", "detail", "error", "outcome", "status", "t_end_s")

    def __init__(
        self,
        outcome: str,
        error: str,
        t_end_s: float,
        head: Head | None = None,
        body: bytes = b"",
        detail: str = "",
    ) -> None:
        self.outcome = outcome
        self.error = error
        self.t_end_s = t_end_s
        self.status = head.status if head else 0
        self.body = body
        self.detail = detail
        self._head = head

    def header(self, name: str) -> str:
        """A header field, "" when there is none."""
        value = self._head.get(name.lower().encode()) if self._head else None
        return value.decode("latin-1") if value else ""

    def fields(self, name: str) -> list[str]:
        """All header fields of that name."""
        if self._head is None:
            return []
        return [value.decode("latin-1") for value in self._head.fields(name.encode())]

    @property
    def retry_after_s(self) -> float | None:
        """The Retry-After header as seconds from now."""
        return seconds_until(self.header("retry-after"), time())
