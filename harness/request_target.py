"""The target of an HTTP request: path and query, escaped as browsers escape them. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import SplitResult, quote

_SAFE: Final = "%/:=&?~#+!$,;'@()*[]|"


def escaped(target: str) -> str:
    """A path with its query, in which what no request can hold is escaped; what is escaped already stays."""
    return quote(target, safe=_SAFE)


def request_target(parts: SplitResult) -> str:
    """That of an address; "/" where it has no path."""
    path = parts.path or "/"
    return escaped(f"{path}?{parts.query}" if parts.query else path)
