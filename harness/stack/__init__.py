"""Stacks: raise the platform under test, embedded, from a compose file, or at an address."""

from __future__ import annotations

from typing import Protocol, Self

import msgspec

from harness.record.schema import Anomaly, ProcessInfo
from harness.scenario import OwnPlatform


class Addresses(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that swarm, chaos and scraper need to reach a platform. URLs have no trailing slash.

    `booking_others`: further processes that do the same, so that no process has more connections than it may open.
    `feeds` are reached *through* their fault proxies; `metrics` (source name → URL of a Prometheus page) are not.
    `proxied` maps the name of each fault proxy to the address of what stands behind it. `people_from`: kind of user →
    the first of their rows of the people file; kinds that are not there have none; empty: only fans come.
    """

    booking: str  # http://127.0.0.1:41001
    booking_others: tuple[str, ...] = ()
    feeds: tuple[str, ...]  # ws://127.0.0.1:41002, …
    event: str
    admin: str = ""  # http://… operator endpoints: exports; "" where the platform has none
    ledger: str = ""  # http://… the payment provider's ledger export
    admin_token: str = ""
    toxiproxy: str = ""  # http://127.0.0.1:8474; "" where there is no fault proxy
    proxied: dict[str, str] = {}  # proxy name → upstream host:port
    metrics: dict[str, str] = {}
    opens_at_s: float = 0.0  # unix s: when the sale opens; 0: it is open from the start
    people_from: dict[str, int] = {}
    answer_timeout_s: float = 10.0  # of the devices of those who come to the reference system
    keeps_accessible: bool = False  # some of its seats are kept for fans who declare the need
    code: str = ""  # an access code for the probe of the entrance, where the sale asks for codes
    own: OwnPlatform | None = None  # a platform of the user's own, as it stands after its preparation


class Stack(Protocol):
    """A platform under test that can be raised and taken down. Entering returns when every part is healthy."""

    name: str

    @property
    def addresses(self) -> Addresses:
        """Where its parts are. Only after entering."""

    @property
    def processes(self) -> tuple[ProcessInfo, ...]:
        """The processes it started, for the record."""

    def deaths(self) -> tuple[Anomaly, ...]:
        """Processes that died on their own since the last call."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
