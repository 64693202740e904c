"""When a server wants to be asked again: the `Retry-After` field (RFC 9110 §10.2.3), which has two forms. Pure."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def seconds_until(field: str, now_wall_s: float) -> float | None:
    """How long to wait from now, given as seconds or as an HTTP date; 0.0 for a date that is past, null for neither."""
    if field.isascii() and field.replace(".", "", 1).isdigit():
        return float(field)
    try:
        return max(0.0, parsedate_to_datetime(field).timestamp() - now_wall_s)
    except (ValueError, OverflowError):
        return None
