"""What of a recording belongs to the purchase: the rest is static files, other hosts, and what measures visitors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from harness.errors import InputError
from harness.scaffold.har import Exchange, Recording

_STATIC_TYPES: Final = ("image/", "font/", "video/", "audio/", "text/css", "javascript", "wasm", "font-", "manifest")
_STATIC_KINDS: Final = frozenset({"image", "stylesheet", "script", "font", "media", "manifest", "texttrack"})
_STATIC_NAME: Final = re.compile(
    r"\.(?:css|m?js|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|eot|mp4|webm|mp3|wasm|webmanifest)$", re.I
)
_MEASURING_KINDS: Final = frozenset({"ping", "beacon", "csp-violation-report", "preflight"})
_MEASURING: Final = re.compile(
    r"(?:^|[/_.-])(?:analytics?|beacons?|collect|telemetry|track(?:er|ing)?|pixel|gtm|gtag|rum|csp-report|sentry)"
    r"(?:$|[/_.-])",
    re.I,
)


class Sieved(msgspec.Struct, frozen=True):
    """What is left, all of one host, and in words what was dropped."""

    origin: str
    kept: tuple[Exchange, ...]
    dropped: tuple[str, ...]


def sieve(recording: Recording) -> Sieved:
    """Raises InputError when no page was recorded: then nobody knows which host the shop is."""
    exchanges = [one for one in recording.exchanges if not _is_static(one)]
    origin = _origin_of_shop(exchanges)
    kept: list[Exchange] = []
    measuring = Counter[str]()
    elsewhere = Counter[str]()
    for one in exchanges:
        if _origin(one) != origin:
            elsewhere[one.parts.hostname or ""] += 1
        elif _measures(one):
            measuring[one.parts.path] += 1
        else:
            kept.append(one)
    dropped = [
        *_told(len(recording.exchanges) - len(exchanges), "static file"),
        *(f"{_counted(count, 'request')} to {host}" for host, count in elsewhere.most_common()),
        *(
            f"{_counted(count, 'request')} to {_shown(path)}, not part of the purchase"
            for path, count in _sorted(measuring)
        ),
        *_told(recording.unread, "entry that cannot be read", "entries that cannot be read"),
        *_told(
            sum(one.cut for one in kept), "body that is too large or not text", "bodies that are too large or no text"
        ),
    ]
    return Sieved(origin, tuple(kept), tuple(dropped))


def _is_static(one: Exchange) -> bool:
    if one.acts:
        return False
    return (
        one.kind in _STATIC_KINDS
        or any(kind in one.content_type for kind in _STATIC_TYPES)
        or bool(_STATIC_NAME.search(one.parts.path))
    )


def _measures(one: Exchange) -> bool:
    if one.method == "OPTIONS" or one.kind in _MEASURING_KINDS:
        return True
    return bool(_MEASURING.search(one.parts.path)) and not (one.is_page and one.text) and not one.leads_to


def _origin_of_shop(exchanges: Sequence[Exchange]) -> str:
    """The first page that was not just a redirect to another host."""
    pages = [one for one in exchanges if one.method == "GET" and one.is_page and one.status == 200]
    if not pages:
        raise InputError("the recording has no page of a shop", hint="record from the first page to the order")
    posts = Counter(_origin(one) for one in exchanges if one.acts and one.fields)
    own = [one for one in pages if _origin(one) in posts] or pages
    return _origin(own[0])


def _origin(one: Exchange) -> str:
    return f"{one.parts.scheme}://{one.parts.netloc.rpartition('@')[2]}"


def _sorted(counted: Counter[str]) -> Iterable[tuple[str, int]]:
    return counted.most_common()


def _told(count: int, one: str, more: str = "") -> list[str]:
    return [_counted(count, one, more)] if count else []


def _counted(count: int, one: str, more: str = "") -> str:
    return f"{count} {one if count == 1 else more or f'{one}s'}"


def _shown(path: str) -> str:
    """A path without what may be a person's."""
    return "/".join("…" if any(character.isdigit() for character in part) else part for part in path.split("/"))[:80]
