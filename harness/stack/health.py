"""Whether a part of the booking system says that it is well."""

from __future__ import annotations

from urllib import error, request


def answers(url: str) -> bool:
    """Whether a GET of this http:// address is answered with 200 within a second."""
    try:
        with request.urlopen(url, timeout=1) as response:  # noqa: S310 — an http:// address that we made
            return bool(response.status == 200)
    except (error.URLError, OSError):
        return False
