"""A platform of the user's own: nothing of it is raised; it is prepared, looked at, and reached through fault proxies.

Entering goes in this order, so that nothing is touched that was not allowed and each problem is one line: allowed
hosts, variables of the environment, fault proxies of the edges, the user's own preparation, one GET, its metrics.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Final, Self
from urllib.parse import urljoin, urlsplit

import msgspec

from harness.errors import InputError
from harness.processes.managed import ManagedProcess, stop_all
from harness.processes.ports import free_ports
from harness.processes.signals import uninterrupted
from harness.record.collecting.fetch import Fetcher, FetchFailed, PageHead
from harness.record.collecting.scrape import MetricsPage
from harness.scenario import OwnPlatform
from harness.scenario.environment import headers_of, metrics_headers, redacted, secret_values, variables
from harness.scenario.own_checks import Complaint, check_url, problem_of_header
from harness.stack import Addresses
from harness.stack.allowed import own_hosts, require_allowed
from harness.stack.fault_proxy import FaultProxy, edge_bytes
from harness.stack.parts import OwnPart
from harness.stack.preparation import Prepared, prepare
from harness.stack.raised import RaisedStack

_DOWN_WITHIN_S: Final = 8.0
_WELL: Final = range(200, 300)
_REDIRECTS_MAX: Final = 10


class OwnStack(RaisedStack):
    """The `Stack` of a platform that exists. `logs` must exist.

    `folder`: what paths of the section are relative to. `named`, `confirmed`: hosts beyond this machine, see `allowed`.
    `error`: makes an error at a place of the scenario file. Raises InputError for all that is wrong on entering.
    """

    name = "own"

    def __init__(
        self,
        platform: OwnPlatform,
        folder: Path,
        logs: Path,
        *,
        named: Sequence[str] = (),
        confirmed: Sequence[str] = (),
        error: Complaint,
        toxiproxy: str = "",
        seed: int | None = None,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._platform = absolute(platform, folder)
        self._folder = folder
        self._logs = logs
        self._named = named
        self._confirmed = confirmed
        self._error = error
        self._toxiproxy = toxiproxy
        self._seed = seed
        self._announce = announce
        self._processes: list[ManagedProcess] = []
        self._parts: dict[str, OwnPart] = {}
        self._proxy: FaultProxy | None = None
        self._proxy_url = ""
        self._addresses: Addresses | None = None

    @property
    def platform(self) -> OwnPlatform:
        """The section as it stands: after entering with the address and the settings that the preparation gave."""
        return self._platform

    def process(self, name: str) -> OwnPart:
        """The part of that name. Raises KeyError."""
        return self._parts[name]

    def postgres_dsn(self, server: str) -> str:
        """No superuser of the platform's databases is known here. Raises KeyError."""
        raise KeyError(server)

    def unused_edges(self) -> tuple[str, ...]:
        """The edges through which no byte has come since entering. Raises EnvironmentProblem."""
        if not self._platform.edges:
            return ()
        seen = edge_bytes(self._proxy_url)
        return tuple(name for name in self._platform.edges if not seen.get(name))

    def require_used_edges(self) -> None:
        """Raises InputError for an edge that the platform does not dial: a fault on it would break nothing."""
        for name in self.unused_edges():
            port = self._platform.edges[name].listen.rpartition(":")[2]
            raise self._error(
                f"the shop does not use edge {name}: set its {name} port to {port}",
                "platform", "edges", name, hint="during the trial purchase no byte came through it",
            )  # fmt: skip

    def __enter__(self) -> Self:
        self._require_allowed()
        require_variables(self._platform, self._error)
        try:
            self._parts = {name: OwnPart(name, part, self._folder) for name, part in self._platform.parts.items()}
            self._raise_edges()
            if self._platform.prepare:
                self._announce(f"preparing: {self._platform.prepare}")
                self._apply(prepare(self._platform, self._folder, self._logs / "prepare.log", self._error))
            self._look()
            self._require_metrics()
        except BaseException:
            self.__exit__()
            raise
        self._addresses = self._reached()
        return self

    def prepare_again(self) -> None:
        """Make it as fresh as it was on entering. Raises InputError as entering does."""
        self._announce("preparing once more: lots are drawn but once, and the trial purchase drew one")
        self._apply(prepare(self._platform, self._folder, self._logs / "prepare.log", self._error))
        self._look()
        self._addresses = self._reached()

    def _reached(self) -> Addresses:
        own = self._platform
        return Addresses(
            booking=own.url.rstrip("/"),
            feeds=(),
            event="",
            toxiproxy=self._proxy_url,
            proxied={name: edge.upstream for name, edge in own.edges.items()},
            metrics={name: page.url for name, page in own.metrics.items()},
            own=own,
        )

    def __exit__(self, *exc: object) -> None:
        if self._proxy is not None:
            self._proxy.give_back()
        stop_all(self._processes, within_s=_DOWN_WITHIN_S)
        self._processes.clear()
        redact_logs(self._logs, secret_values(self._platform))

    def _require_allowed(self) -> None:
        require_allowed(own_hosts(self._platform), self._named, self._confirmed)

    def _raise_edges(self) -> None:
        edges = self._platform.edges
        if not edges:
            return
        for name, edge in edges.items():
            self._require_bindable(name, edge.listen)
        proxy = self._proxy = FaultProxy(free_ports(1)[0], self._toxiproxy, self._logs, seed=self._seed)
        with uninterrupted():  # so that it has its keeper
            self._processes.extend(proxy.start())
        where = {name: edge.listen.rpartition(":") for name, edge in edges.items()}
        proxy.populate(
            {name: edge.upstream for name, edge in edges.items()},
            [int(port) for _, _, port in where.values()],
            {name: host for name, (host, _, _) in where.items()},
        )
        self._proxy_url = proxy.url

    def _require_bindable(self, name: str, listen: str) -> None:
        host, _, port = listen.rpartition(":")
        try:
            family, _, _, _, address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except OSError as problem:
            raise self._error(
                f"cannot listen at {listen}: {problem.strerror or problem}", "platform", "edges", name, "listen",
                hint="gatecrash listens there, and the platform dials it: take a free port of this machine",
            ) from None  # fmt: skip

    def _apply(self, prepared: Prepared) -> None:
        if prepared.url:
            check_url(prepared.url, lambda text, hint: self._error(f"its url {text}", "platform", "prepare", hint=hint))
        settings = {**self._platform.settings, **prepared.settings}
        self._platform = msgspec.structs.replace(
            self._platform, url=prepared.url or self._platform.url, settings=settings
        )
        self._require_allowed()

    def _look(self) -> None:
        """One GET, as the first thing that the platform hears of us; redirects are followed within allowed hosts."""
        own = self._platform
        url = own.url
        for _ in range(_REDIRECTS_MAX):
            head = self._head(url)
            if not head.leads_to:
                break
            url = self._followed(url, head.leads_to)
        else:
            raise self._wrong(f"{own.url} redirects more than {_REDIRECTS_MAX} times", "is it the right address?")
        if head.status not in _WELL:
            said = f"{head.status} {head.reason}".strip()
            hint = "expected a page: is the path right? Is it http or https? Of an API give one that answers a GET"
            raise self._wrong(f"{url} answered {said} to a GET", hint)

    def _require_metrics(self) -> None:
        """Raises InputError for a page of metrics that gives none now: the run would only say so at its end."""
        own = self._platform
        headers = metrics_headers(own)
        shown = set[str]()
        for name, source in own.metrics.items():
            page = MetricsPage(source.url, headers[name], verify=trusted(own))
            rows = page.rows(name, 0.0)
            page.close()
            if rows is None:
                raise self._error(
                    redacted(f"{source.url} {page.instead or 'did not answer'}", secret_values(own)),
                    "platform", "metrics", name, "url", hint="bring it up, or rehearse without it",
                )  # fmt: skip
            shown.update(str(row["name"]) for row in rows)
        for name, fed in own.indicators.items():
            if own.metrics and not any(one.startswith(fed.metric) for one in shown):
                self._announce(f"no page of metrics shows {fed.metric} yet, which feeds {name}")

    def _head(self, url: str) -> PageHead:
        own = self._platform
        within_s = own.limits.first_byte_s
        try:
            page = Fetcher(url, headers_of(own.headers), verify=trusted(own), within_s=within_s, bytes_max=0)
            return page.look(own.limits.connect_s)
        except ssl.SSLError as problem:
            words, hint = _tls(str(problem))
            raise self._wrong(f"no TLS with {urlsplit(url).netloc}: {words}", hint) from None
        except TimeoutError:
            raise self._wrong(f"{url} did not answer within {within_s:g} s", "see platform.limits") from None
        except (OSError, HTTPException, FetchFailed, ValueError) as problem:
            hint = "is the platform up, and is this its address, http or https?"
            raise self._wrong(f"{url} cannot be reached: {_cause(problem)}", hint) from None

    def _followed(self, url: str, leads_to: str) -> str:
        try:
            following = urljoin(url, leads_to)
            host = urlsplit(following).netloc
        except ValueError:
            raise self._wrong(f"{url} redirects to {leads_to!r}, which is no address", "is it the right one?") from None
        try:
            require_allowed([following], self._named, self._confirmed)
        except InputError as problem:
            raise self._wrong(f"its pages lead to {host}: {problem.message}", problem.hint) from None
        return following

    def _wrong(self, message: str, hint: str) -> InputError:
        values = secret_values(self._platform)
        return self._error(redacted(message, values), "platform", "url", hint=hint)


def absolute(platform: OwnPlatform, folder: Path) -> OwnPlatform:
    """The section with the paths of its files made whole."""

    def whole(path: str) -> str:
        return str(folder / path) if path else ""

    file, _, name = platform.adapter.rpartition(":")
    parts = {key: msgspec.structs.replace(part, pid_file=whole(part.pid_file)) for key, part in platform.parts.items()}
    return msgspec.structs.replace(
        platform,
        adapter=f"{folder / file}:{name}",
        people=whole(platform.people),
        ca_file=whole(platform.ca_file),
        parts=parts,
    )


def require_variables(platform: OwnPlatform, error: Complaint) -> None:
    """Raises InputError for the first variable of the environment that is named and not set."""
    for keys, variable in variables(platform):
        if not os.environ.get(variable):
            state = "is empty" if variable in os.environ else "is not set"
            raise error(f"the environment variable {variable} {state}", *keys, hint=f"export {variable}=…")
        if "headers" in keys and (problem := problem_of_header(os.environ[variable])):
            raise error(f"the value of the environment variable {variable} {problem}", *keys)


def redact_logs(logs: Path, values: Sequence[str]) -> None:
    """Take these values out of every log: a traceback of an adapter may have written one."""
    for path in sorted(logs.iterdir()) if logs.is_dir() and values else ():
        if not path.is_file():
            continue
        content = path.read_bytes()
        cleaned = content
        for value in values:
            cleaned = cleaned.replace(os.fsencode(value), b"***")
        if cleaned != content:
            path.write_bytes(cleaned)


def trusted(own: OwnPlatform) -> str | bool:
    """Which certificates are trusted, as `Fetcher` takes it: the scenario's, those of SSL_CERT_FILE, or the usual."""
    return own.ca_file or os.environ.get("SSL_CERT_FILE") or True


_OF_TLS: Final = (
    ("has expired", "its certificate has expired", "renew it: no browser would come in"),
    ("not yet valid", "its certificate is not valid yet", "is the clock of this machine right?"),
    ("not valid for", "its certificate is for another name", "write in platform.url the name that it is for"),
    ("VERSION_NUMBER", "what answers there speaks no TLS", "is it an http:// address?"),
    ("HTTP_REQUEST", "what answers there speaks no TLS", "is it an http:// address?"),
    ("PROTOCOL", "it speaks no version of TLS from 1.2 on", "browsers refuse older ones: switch on TLS 1.2 or 1.3"),
)
"""Words of OpenSSL, what they mean, and what to do."""


def _tls(cause: str) -> tuple[str, str]:
    """What is wrong, and what to do."""
    for part, words, hint in _OF_TLS:
        if part in cause:
            return words, hint
    words = re.sub(r"^\[SSL: \w+\] |certificate verify failed: | ?\(_ssl\.c:\d+\)$", "", cause)
    return words, "give the authority of its certificate in platform.ca_file, or in SSL_CERT_FILE"


def _cause(problem: Exception) -> str:
    """In the operating system's words, where it has some."""
    said = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return said or type(problem).__name__
