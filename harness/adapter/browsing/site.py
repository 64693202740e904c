"""One platform as all browsers of a process see it: its address, the hosts it may lead to, headers, limits, secrets.

Values of secrets and headers come from the environment of the process that needs them, and stay in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

from harness.adapter.errors import NoAnswer
from harness.errors import InputError
from harness.hosts import is_loopback
from harness.input_file import is_file
from harness.request_target import escaped
from harness.scenario import OwnPlatform
from harness.scenario.environment import redacted, secret_values
from harness.scenario.own_platform import FROM_ENVIRONMENT
from harness.swarm.client.connecting import ClientLimits, Origin, resolve
from harness.swarm.client.types import Endpoint

EXPECTED: Final = frozenset({*range(200, 400), 402, 409, 410, 422})
"""The statuses that are an answer: a page, a redirect, and those by which shops say no."""
_AFTER_SCHEME: Final = len("https://")
_is_plain: Final = re.compile(r"[A-Za-z0-9%/:=&?~+!$,;'@()*\[\]|._-]*").fullmatch
_FIELD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+").fullmatch
_IS_VERSION: Final = re.compile(r"v[0-9]{1,3}").fullmatch
_SEGMENT_SHOWN: Final = 40
_PAGE_SHOWN: Final = 120
_ENDPOINTS_MAX: Final = 4096
_WORDS_MAX: Final = 256
_WORD_SHOWN: Final = 80
_DEFAULT_HEADERS: Final = {
    "User-Agent": "Mozilla/5.0 (compatible; gatecrash)",
    "Accept": "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8",
    "Accept-Language": "en",
}


class Secrets(Mapping[str, str]):
    """Secrets by their names in the scenario. Neither printed nor written anywhere."""

    def __init__(self, variables: Mapping[str, str], environment: Mapping[str, str]) -> None:
        missing = [(name, variable) for name, variable in variables.items() if not environment.get(variable)]
        if missing:
            name, variable = missing[0]
            raise InputError(
                f"the environment has no {variable}, which holds the secret {name}",
                hint=f"export {variable}=… before the run; the scenario names it under platform.secrets",
            )
        self._values = {name: environment[variable] for name, variable in variables.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<secrets {', '.join(self._values)}>"


class Site:
    """See the module. Raises `InputError` for an address, a variable or a file that cannot be used."""

    def __init__(self, own: OwnPlatform, environment: Mapping[str, str] = os.environ) -> None:
        parts = urlsplit(own.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(
                f"platform.url {own.url!r} is no http or https URL", hint="give it as http://host:port/path"
            )
        if own.ca_file and not is_file(Path(own.ca_file)):
            raise InputError(f"platform.ca_file: there is no file {own.ca_file}", hint="give its path")
        self.url = own.url
        self.rules = own.rules
        self._hidden = secret_values(own, environment)
        self._words: dict[str, str] = {}
        self.secrets = Secrets(own.secrets, environment)
        self.limits = ClientLimits(
            connect_s=own.limits.connect_s,
            first_byte_s=own.limits.first_byte_s,
            whole_s=own.limits.whole_s,
            idle_s=own.limits.idle_s,
            body_bytes=own.limits.body_bytes,
        )
        self.first_path = parts.path or "/"
        self._root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._base = f"{self._root}{parts.path.rstrip('/')}/"
        self._hosts = frozenset({parts.hostname, *own.hosts})
        self._ca_file = own.ca_file
        self._origins: dict[str, Origin] = {}
        self._endpoints: dict[tuple[str, str, str, bool, frozenset[int]], Endpoint] = {}
        given = _headers(own.headers, environment)
        names = {name.lower() for name in given}
        defaults = {name: value for name, value in _DEFAULT_HEADERS.items() if name.lower() not in names}
        self.headers = header_lines({**defaults, **given})
        self.origin_of(self._root)  # resolved before the release

    def hide(self, text: str) -> str:
        """The text without any value that nobody may read: of secrets, of headers, and of secret columns of people."""
        return redacted(text, self._hidden)

    def word(self, text: object) -> str:
        """The same of a word that an adapter says, as it is recorded: one line that is not too long."""
        said = str(text)
        word = self._words.get(said)
        if word is None:
            word = self.hide(" ".join(said.split()))[:_WORD_SHOWN]
            if len(self._words) >= _WORDS_MAX:
                self._words.clear()
            if len(said) <= _WORD_SHOWN:
                self._words[said] = word
        return word

    def locate(self, path: str) -> tuple[str, str]:
        """Origin ("http://host:port") and target of what an adapter or a page names.

        A path is relative to the platform's url as if that were a folder; one with "/" begins at the host. Raises
        `NoAnswer` "host" for a host that is not allowed.
        """
        cut = path.find("/", _AFTER_SCHEME)
        if path.startswith("/") and not path.startswith("//"):
            origin, target = self._root, path
        elif path[:cut] in self._origins:  # a whole address at a host that is known
            origin, target = path[:cut], path[cut:]
        elif "://" not in path[:8] and not path.startswith(("//", "?", "#", ".")):
            origin, target = self._root, f"{self._base}{path}"[len(self._root) :] if path else self.first_target
        else:
            origin, target = self._split(joined(self.url if path.startswith(("?", "#")) else self._base, path))
        if "#" in target:
            target = target.partition("#")[0]
        if not _is_plain(target):
            target = escaped(target)
        return origin, target

    @property
    def first_target(self) -> str:
        """Path and query of the platform's url."""
        query = urlsplit(self.url).query
        return f"{self.first_path}?{query}" if query else self.first_path

    def origin_of(self, origin: str) -> Origin:
        """Resolved once. Raises `InputError`."""
        found = self._origins.get(origin)
        if found is None:
            found = self._origins[origin] = resolve(origin, self._ca_file)
        return found

    def endpoint(self, step: str, method: str, target: str, *, acts: bool, expects: frozenset[int]) -> Endpoint:
        """What one request is recorded as."""
        page = page_of(method, target)
        key = (step, method, page, acts, expects)
        found = self._endpoints.get(key)
        if found is None:
            if len(self._endpoints) >= _ENDPOINTS_MAX:
                self._endpoints.clear()
            shown = page_of(method, self.hide(target))
            found = self._endpoints[key] = Endpoint(step, method, expects, idempotent=not acts, page=shown)
        return found

    def _split(self, url: str) -> tuple[str, str]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https", "ws", "wss") or not host:
            raise NoAnswer("host", detail=f"{url[:200]!r} is no address that a browser can go to")
        if not (host in self._hosts or is_loopback(host)):
            detail = f"the platform leads to {host}, which is not allowed: name it under platform.hosts if it is yours"
            raise NoAnswer("host", detail=detail)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}", target


def joined(page_url: str, href: str) -> str:
    """The whole address of a link of a page; most begin at the host, and urljoin takes its time."""
    if href.startswith("/") and not href.startswith("//") and "/." not in href:
        return page_url[: page_url.find("/", _AFTER_SCHEME)] + href
    try:
        return urljoin(page_url, href)
    except ValueError:
        raise NoAnswer("host", detail=f"{href[:200]!r} is no address that a browser can go to") from None


@lru_cache(maxsize=4096)
def page_of(method: str, target: str) -> str:
    """What a page is called in the record: "GET /orders/{n}". Without its query, which may hold tokens."""
    path = target.partition("?")[0]
    name = "/".join(_named(segment) for segment in path.split("/"))
    return f"{method} {name}"[:_PAGE_SHOWN]


def _named(segment: str) -> str:
    """ "{n}" for what is one of many: with a digit, or long. The version of an API, "v2", is not one of many."""
    if _IS_VERSION(segment):
        return segment
    if any(character.isdigit() for character in segment):
        stem = segment.rstrip("0123456789")
        return f"{stem}{{n}}" if stem.endswith(("-", "_")) and stem.strip("-_").isalpha() else "{n}"
    return "{n}" if len(segment) > _SEGMENT_SHOWN else segment


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Complete lines, in Latin-1, as browsers send them. Raises `InputError` for what it lacks, or what would not stay
    one line.
    """
    lines = []
    for name, value in headers.items():
        if not _FIELD(name) or any(_is_unsendable(ord(character)) for character in value):
            raise InputError(
                f"{name!r} is no header that can be sent", hint="a name, and a value on one line, in Latin-1"
            )
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1")


def _is_unsendable(code: int) -> bool:
    return code > 255 or (code < 32 and code != ord("\t"))


def _headers(headers: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    found = {}
    for name, value in headers.items():
        if value.startswith(FROM_ENVIRONMENT):
            variable = value.removeprefix(FROM_ENVIRONMENT)
            if not environment.get(variable):
                raise InputError(
                    f"the environment has no {variable}, which holds the header {name}",
                    hint=f"export {variable}=… before the run; the scenario names it under platform.headers",
                )
            value = environment[variable]
        found[name] = value
    return found
