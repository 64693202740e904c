"""Keeps the requests of the purchase in a recording: leaves out static files, other hosts and trackers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.errors import InputError
from harness.scaffold.recording.har import Exchange, Recording

_STATIC_TYPES: Final = ("image/", "font/", "video/", "audio/", "text/css", "javascript", "wasm", "font-", "manifest")
_STATIC_KINDS: Final = frozenset({"image", "stylesheet", "script", "font", "media", "manifest", "texttrack"})
_STATIC_NAME: Final = re.compile(
    r"\.(?:css|m?js|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|eot|mp4|webm|mp3|wasm|webmanifest)$", re.I
)
_OK: Final = 200
_MEASURING_KINDS: Final = frozenset({"ping", "beacon", "csp-violation-report", "preflight"})
_MEASURING: Final = re.compile(
    r"(?:^|[/_.-])(?:analytics?|beacons?|collect|telemetry|track(?:er|ing)?|pixel|gtm|gtag|rum|csp-report|sentry)"
    r"(?:$|[/_.-])",
    re.I,
)


class Sieved(msgspec.Struct, frozen=True):
    """What is left, all of one host, and in words what was dropped.

    `room`: the last page of a waiting room on another host, through which the shop sent the visitor; null: none.
    """

    origin: str
    kept: tuple[Exchange, ...]
    dropped: tuple[str, ...]
    room: Exchange | None = None


def sieve(recording: Recording) -> Sieved:
    """Raises InputError when no page was recorded: then nobody knows which host the shop is."""
    exchanges = [one for one in recording.exchanges if not _is_static(one)]
    origin = _origin_of_shop(exchanges)
    exchanges, room = _without_room(exchanges, origin)
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
    return Sieved(origin, tuple(kept), tuple(dropped), room)


def _without_room(exchanges: list[Exchange], origin: str) -> tuple[list[Exchange], Exchange | None]:
    """A waiting room of somebody else: the shop redirects to another host, which redirects back with a token.

    What was asked for before is then answered with the page that comes after it, as on the next visit. Returns what is
    left, and the page on which the visitor waited.
    """
    out = next(
        (at for at, one in enumerate(exchanges) if _origin(one) == origin and _is_to(one, origin) is False), None
    )
    if out is None:
        return exchanges, None
    away = exchanges[out].leads_to
    host = urlsplit(away).netloc
    inside = [at for at in range(out + 1, len(exchanges)) if exchanges[at].parts.netloc == host]
    back = next((at for at in inside if _is_to(exchanges[at], origin)), None)
    waited = [exchanges[at] for at in inside if exchanges[at].is_page and exchanges[at].status == _OK]
    if back is None or not waited:
        return exchanges, None
    begun, ended = out, _followed(exchanges, back)
    while begun and exchanges[begun - 1].leads_to == exchanges[begun].url:
        begun -= 1
    first = exchanges[begun]
    shown = msgspec.structs.replace(exchanges[ended], url=first.url, parts=first.parts)
    others = [one for one in exchanges[begun:ended] if one.parts.netloc != host and _origin(one) != origin]
    return [*exchanges[:begun], *others, shown, *exchanges[ended + 1 :]], waited[-1]


def _is_to(one: Exchange, origin: str) -> bool | None:
    """Whether its redirect leads to that host; null: it does not redirect."""
    return origin == "{0.scheme}://{0.netloc}".format(urlsplit(one.leads_to)) if one.leads_to else None


def _followed(exchanges: Sequence[Exchange], at: int) -> int:
    """Where the redirects end that begin there."""
    while exchanges[at].leads_to:
        target = exchanges[at].leads_to.partition("#")[0]
        found = next((later for later in range(at + 1, len(exchanges)) if exchanges[later].url == target), None)
        if found is None:
            return at
        at = found
    return at


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
