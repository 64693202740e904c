"""What a `platform:` section must fulfil beyond its types, checked before anything starts.

Every finding is one line with file, line and key. Values that may be secret are never part of it.
"""

from __future__ import annotations

import csv
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import SplitResult, urlsplit

from harness.errors import InputError
from harness.hosts import address_of, is_host
from harness.input_file import is_file
from harness.registry.indicators import INDICATORS
from harness.scenario.own_platform import FROM_ENVIRONMENT, WORDS, MetricsPage, OwnPlatform
from harness.yaml_file import suggest

TRIAL_ROWS: Final = 2
"""Rows of `people` that the trial purchase takes, beside those of the fans."""
_HOST_HINT: Final = "letters, digits, - and dots, at most 63 between two dots; others as xn--…"
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SECRET_HEADERS: Final = ("authorization", "proxy-authorization", "cookie")
_HEADERS_OF_THE_CLIENT: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect", "keep-alive"}
)
"""Headers that say how a request is sent, which only the one who sends it knows."""
_PORT_MAX: Final = 65_535


class Complaint(Protocol):
    """`ScenarioFile.error`: an error at a place of the file."""

    def __call__(self, message: str, *keys: str | int, hint: str = "") -> InputError:
        """The error, to be raised."""


class FaultPlace(Protocol):
    """Of a planned fault, what it breaks."""

    @property
    def edge(self) -> str: ...  # noqa: D102
    @property
    def part(self) -> str: ...  # noqa: D102


def check(
    platform: OwnPlatform,
    folder: Path,
    visitors: int,
    faults: Sequence[FaultPlace],
    given: object,
    error: Complaint,
    *,
    needs_adapter: bool = True,
) -> None:
    """Raises InputError. `given`: the whole file as plain data. `folder`: what paths are relative to.

    `visitors`: how many come who need an account each, where `people` gives accounts.
    """
    _refuse_reference_rules(given, error)
    if needs_adapter or platform.adapter:
        _check_adapter(platform, folder, error)
    check_url(platform.url, lambda text, hint: error(text, "platform", "url", hint=hint))
    _check_hosts(platform, error)
    _check_names_of_variables(platform, error)
    _check_headers(platform.headers, ("platform", "headers"), error)
    _check_words(platform, error)
    _check_metrics(platform, error)
    _check_indicators(platform, error)
    _check_edges(platform, error)
    _check_parts(platform, error)
    _check_faults(platform, faults, error)
    _check_files(platform, folder, visitors, error)


def check_url(url: str, error: Callable[[str, str], InputError]) -> SplitResult:
    """An http:// or https:// address without a password, query or fragment. Raises what `error` makes."""
    if not url:
        raise error("there is no address of the platform", "give platform.url, or --stack URL")
    if re.search(r"\s", url):
        raise error("has a space in it", "write it as %20")
    if not url.isprintable():
        raise error("holds control characters", "e.g. https://shop.example/onsale")
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or 0 < parts.port <= _PORT_MAX
    except ValueError:
        raise error("is no address", "e.g. https://shop.example/onsale") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not has_port:
        raise error("is no http:// or https:// address", "e.g. https://shop.example/onsale")
    if parts.username is not None or parts.password is not None:
        raise error(
            "has a user or a password in it, and addresses are recorded",
            "give it as a header: headers: {Authorization: env:NAME}",
        )
    if parts.query or parts.fragment:
        raise error("has a query or a fragment", "give what the adapter needs beyond the path in settings")
    if not is_host(parts.hostname):
        raise error("has no name of a host that can be looked up", _HOST_HINT)
    return parts


_IN_RULES: Final = ("hold_ttl_s", "hold_late_max_s", "map_late_max_s", "queue_policy", "purchase_limit")


def _refuse_reference_rules(given: object, error: Complaint) -> None:
    on_sale = given.get("on_sale") if isinstance(given, dict) else None
    for key in on_sale if isinstance(on_sale, dict) else ():
        hint = f"say it in platform.rules.{key}" if key in _IN_RULES else "leave it out"
        raise error("sets up the reference booking system, and this scenario has a platform", "on_sale", key, hint=hint)
    load = given.get("load") if isinstance(given, dict) else None
    if isinstance(load, dict) and "answer_timeout_s" in load:
        said, hint = "is of the fans of the reference system", "say it in platform.limits.first_byte_s"
        raise error(f"{said}, and this scenario has a platform", "load", "answer_timeout_s", hint=hint)


def _check_adapter(platform: OwnPlatform, folder: Path, error: Complaint) -> None:
    file, _, name = platform.adapter.rpartition(":")
    place = ("platform", "adapter")
    if not platform.adapter:
        raise error("there is no adapter", *place, hint="adapter: FILE:CLASS, or --platform FILE:CLASS")
    if not file or not name.isidentifier():
        raise error(f"{platform.adapter!r} is not FILE:CLASS", *place, hint="e.g. myshop.py:MyShop")
    if not is_file(folder / file):
        raise error(f"there is no file {file}", *place, hint=f"its path is relative to {folder}")
    if Path(file).suffix != ".py":
        raise error(f"{file} is no Python file", *place, hint="its name must end in .py")


def _check_hosts(platform: OwnPlatform, error: Complaint) -> None:
    for at, host in enumerate(platform.hosts):
        if not is_host(host):
            raise error("is no name of a host", "platform", "hosts", at, hint="e.g. queue.example, without https://")


def _check_names_of_variables(platform: OwnPlatform, error: Complaint) -> None:
    for name, variable in platform.secrets.items():
        if not _VARIABLE.fullmatch(variable):
            raise error(
                "is no name of an environment variable", "platform", "secrets", name,
                hint="write the variable's name here, never the secret itself",
            )  # fmt: skip


def _check_headers(headers: Mapping[str, str], place: tuple[str, ...], error: Complaint) -> None:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise error("is no name of a header", *place, name)
        if name.lower() in _HEADERS_OF_THE_CLIENT:
            raise error("says how a request is sent, which the client decides", *place, name, hint="leave it out")
        if value.startswith(FROM_ENVIRONMENT):
            if not _VARIABLE.fullmatch(value.removeprefix(FROM_ENVIRONMENT)):
                raise error("names no environment variable", *place, name, hint="e.g. env:WAF_BYPASS")
        elif name.lower() in _SECRET_HEADERS:
            raise error("would be recorded as it is written here", *place, name, hint="write env:NAME")
        elif problem := problem_of_header(value):
            raise error(problem, *place, name)


def problem_of_header(value: str) -> str:
    """Why a header cannot have this value, without the value; "" when it can."""
    if any(ord(character) < 32 or 127 <= ord(character) < 160 for character in value):
        return "holds control characters"
    if any(ord(character) > 255 for character in value):
        return "holds characters that no header can have"
    return ""


def _check_words(platform: OwnPlatform, error: Complaint) -> None:
    for name, word in platform.names.items():
        if name not in WORDS:
            raise error("is none of our words", "platform", "names", name, hint=suggest(name, WORDS))
        if not word.strip() or not word.isprintable():
            raise error("expected a word", "platform", "names", name)


def _check_metrics(platform: OwnPlatform, error: Complaint) -> None:
    for name, page in platform.metrics.items():
        place = ("platform", "metrics", name)
        if not _NAME.fullmatch(name):
            raise error("is no name of a source", *place, hint="letters, digits, - and _")
        _check_page(page, place, error)


def _check_page(page: MetricsPage, place: tuple[str, ...], error: Complaint) -> None:
    base, _, _ = page.url.partition("?")
    check_url(base, lambda text, hint: error(text, *place, "url", hint=hint))
    _check_headers(page.headers, (*place, "headers"), error)


def _check_indicators(platform: OwnPlatform, error: Complaint) -> None:
    mappable = [name for name, indicator in INDICATORS.items() if indicator.metric]
    for name, source in platform.indicators.items():
        place = ("platform", "indicators", name)
        if name not in INDICATORS:
            raise error("unknown indicator", *place, hint=suggest(name, mappable))
        if name not in mappable:
            raise error(
                "is measured by the fans, not from a metric",
                *place,
                hint=f"from metrics: {', '.join(sorted(mappable))}",
            )
        if not platform.metrics:
            raise error("there is no page of metrics to take it from", *place, hint="give platform.metrics")
        if source.source and source.source not in platform.metrics:
            hint = suggest(source.source, list(platform.metrics))
            raise error(f"there is no page of metrics {source.source!r}", *place, "source", hint=hint)


def _check_edges(platform: OwnPlatform, error: Complaint) -> None:
    listening = _check_traces(platform, error)
    for name, edge in platform.edges.items():
        place = ("platform", "edges", name)
        if not _NAME.fullmatch(name):
            raise error("is no name of an edge", *place, hint="letters, digits, - and _")
        for key, address in (("listen", edge.listen), ("upstream", edge.upstream)):
            _check_port(address, (*place, key), error)
        listens, asks = socket_of(edge.listen), socket_of(edge.upstream)
        if not _is_address_here(listens[0]):
            hint = "gatecrash listens there: give an address of this machine, e.g. 127.0.0.1:25432"
            raise error(f"{edge.listen} is no address that can be listened at", *place, "listen", hint=hint)
        if _same(listens, asks):
            raise error("listens at its own upstream", *place, "listen", hint="give it a port of its own")
        for taken, other in listening.items():
            if _same(taken, listens):
                raise error(f"{edge.listen} is the address of {other} already", *place, "listen")
        listening[listens] = f"edge {name}"


def _check_traces(platform: OwnPlatform, error: Complaint) -> dict[tuple[str, int], str]:
    """The address that spans are received at, as one that is taken."""
    if platform.traces is None:
        return {}
    place, listen = ("platform", "traces", "listen"), platform.traces.listen
    _check_port(listen, place, error)
    if not _is_address_here(socket_of(listen)[0]):
        raise error(f"{listen} is no address that can be listened at", *place, hint="e.g. 127.0.0.1:4318")
    return {socket_of(listen): "platform.traces"}


def socket_of(address: str) -> tuple[str, int]:
    """Host and port of host:port, this machine by its number."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]").lower()
    return ("127.0.0.1" if host in ("localhost", "::1") else host), int(port)


def _is_address_here(host: str) -> bool:
    """Whether it may be one of this machine. Nothing is looked up: a name may be anybody's."""
    known = address_of(host)
    return host == socket.gethostname().lower() if known is None else not known.is_multicast


def _same(one: tuple[str, int], other: tuple[str, int]) -> bool:
    """Whether two sockets are the same, or one of them is at every address of this machine."""
    return one[1] == other[1] and (one[0] == other[0] or any(host in ("0.0.0.0", "::") for host, _ in (one, other)))


def _check_port(address: str, place: tuple[str, ...], error: Complaint) -> None:
    host, port = socket_of(address)
    if not 0 < port <= _PORT_MAX:
        raise error(f"{address} has no port from 1 to {_PORT_MAX}", *place)
    if not is_host(host):
        raise error(f"{address} has no name of a host that can be looked up", *place, hint=_HOST_HINT)


def _check_parts(platform: OwnPlatform, error: Complaint) -> None:
    for name, part in platform.parts.items():
        place = ("platform", "parts", name)
        if not _NAME.fullmatch(name):
            raise error("is no name of a part", *place, hint="letters, digits, - and _")
        if bool(part.container) == bool(part.pid_file):
            raise error("expected either container or pid_file", *place)
        if part.start and part.container:
            hint = "leave it out: the engine starts the container again"
            raise error("a container needs no start", *place, "start", hint=hint)
        if part.address is not None:
            _check_port(part.address, (*place, "address"), error)


def _check_faults(platform: OwnPlatform, faults: Sequence[FaultPlace], error: Complaint) -> None:
    for at, fault in enumerate(faults):
        for key, name, known in (("edge", fault.edge, platform.edges), ("part", fault.part, platform.parts)):
            if name and name not in known:
                hint = suggest(name, list(known)) or f"give it in platform.{key}s"
                raise error(f"the platform has no {key} {name!r}", "faults", at, key, hint=hint)


def _check_files(platform: OwnPlatform, folder: Path, visitors: int, error: Complaint) -> None:
    if platform.ca_file:
        _check_ca_file(platform.ca_file, folder, error)
    if platform.people:
        _check_people(platform, folder / platform.people, visitors, error)
    for at, column in enumerate(platform.secret_columns if not platform.people else ()):
        raise error(f"there is no column {column!r} without people", "platform", "secret_columns", at)


def _check_ca_file(name: str, folder: Path, error: Complaint) -> None:
    place = ("platform", "ca_file")
    if not is_file(folder / name):
        raise error(f"there is no file {name}", *place, hint=f"relative to {folder}")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(folder / name)
    except (OSError, ssl.SSLError) as problem:
        why = f": {problem.strerror}" if isinstance(problem, PermissionError) else ""
        hint = "it must hold certificates in PEM: -----BEGIN CERTIFICATE-----"
        raise error(f"{name} cannot be used as certificates{why}", *place, hint=hint) from None


def _check_people(platform: OwnPlatform, path: Path, visitors: int, error: Complaint) -> None:
    """One row for each fan, bot and lurker, and rows for the trial; none twice, or two fans would share one account."""

    def wrong(text: str, hint: str = "") -> InputError:
        return error(f"{platform.people}: {text}", "platform", "people", hint=hint)

    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except OSError as problem:
        raise wrong(f"cannot be read: {problem.strerror}", f"its path is relative to {path.parent}") from None
    except (UnicodeDecodeError, csv.Error) as problem:
        raise wrong(f"is no CSV file: {problem}", "UTF-8, with one row for each fan") from None
    if not header or any(not name.strip() for name in header) or len(set(header)) < len(header):
        raise wrong("its first row must name the columns, each by a name of its own", "e.g. login,password")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise wrong(f"row {number} has {len(row)} values for {len(header)} columns")
    first: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, 1):
        before = first.setdefault(tuple(row), number)
        if before != number:
            raise wrong(f"rows {before} and {number} are the same", "each fan needs a row of their own")
    for at, column in enumerate(platform.secret_columns):
        if column not in header:
            raise error(
                f"{platform.people} has no column {column!r}", "platform", "secret_columns", at,
                hint=suggest(column, header),
            )  # fmt: skip
    if len(rows) < visitors + TRIAL_ROWS:
        raise wrong(
            f"has {len(rows):,} rows for {visitors:,} fans, bots and lurkers, and {TRIAL_ROWS} of the trial purchase",
            "add rows, or send fewer fans",
        )
