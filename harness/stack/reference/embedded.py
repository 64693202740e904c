"""The whole reference platform on this machine, from wheels alone: no Docker, no Go, no root.

    client ─ booking ─┬─ [redis] ── Valkey                         [name] is a fault proxy
                      ├─ [postgres_primary] ── primary ─┐
                      ├─ [postgres_replica] ── replica ─┴ [replication]
                      └─ [payments] ── payment provider
    client ─ [feed_1] ── feed-1, [feed_2] ── feed-2        worker beside booking, over the same proxies

Every part is its own process on a free loopback port. Entering returns when all are healthy; leaving, on whatever
way, leaves no process and no directory behind.
"""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from harness.processes.machine import processes_for
from harness.processes.managed import ManagedProcess, child_environment, stop_all
from harness.processes.ports import HOST, free_ports, require_free
from harness.processes.signals import uninterrupted
from harness.record.collecting.spans import spans_file
from harness.scenario import OnSale
from harness.scenario.codes import read_codes
from harness.stack import Addresses
from harness.stack.fault_proxy import FaultProxy
from harness.stack.health import answers
from harness.stack.raised import RaisedStack
from harness.stack.reference import workspace
from harness.stack.reference.databases import Postgres, start_valkey
from harness.stack.reference.opening import opens_at_s, target_settings

_HEALTHY_WITHIN_S: Final = 25.0
_DOWN_WITHIN_S: Final = 8.0
_FEEDS: Final = 2
_CONNECTIONS_MIN: Final = 2
_SHARDS: Final = ("shard_0", "shard_1")  # databases of the one primary, and so of its replica


class EmbeddedStack(RaisedStack):
    """Raises the reference booking system. `logs` must exist; each process gets a file there.

    `booking_port` 0 takes a free port. `bug` plants a bug of target/bugs/catalogue.py. `traced` keeps the spans
    of traced journeys, see `harness.record.collecting.spans`. `toxiproxy` is the address (host:port)
    or the binary of a real Toxiproxy server; "" uses our own, whose draws follow from `seed`. `listen` is the address
    of this machine at which the booking API and the feeds are; all else stays on loopback. `visitors`: so many come at
    once; where one process may not have so many connections, and the on-sale says no number, several do the booking.
    Raises EnvironmentProblem when the machine cannot carry it.
    """

    name = "embedded"

    def __init__(
        self,
        on_sale: OnSale,
        logs: Path,
        *,
        bug: str = "",
        traced: bool = False,
        booking_port: int = 0,
        toxiproxy: str = "",
        seed: int | None = None,
        listen: str = HOST,
        visitors: int = 0,
        announce: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._on_sale = on_sale
        self._logs = logs
        self._bug = bug
        self._traced = traced
        self._booking_port = booking_port
        self._toxiproxy = toxiproxy
        self._seed = seed
        self._listen = listen
        self._bookings = on_sale.booking_processes or processes_for(visitors)
        self._announce = announce
        self._processes: list[ManagedProcess] = []
        self._root: Path | None = None
        self._postgres: Postgres | None = None
        self._valkey_password = secrets.token_hex(16)
        self._proxy: FaultProxy | None = None
        self._addresses: Addresses | None = None
        self._opens_at_s = 0.0

    def process(self, name: str) -> ManagedProcess:
        """The process of that name, to be killed or started again. Raises KeyError."""
        return {process.name: process for process in self._processes}[name]

    def postgres_dsn(self, server: str) -> str:
        """How the superuser reaches postgres-primary or postgres-replica past every fault proxy. Raises KeyError."""
        if self._postgres is None:
            raise KeyError(server)
        if server not in ("postgres-primary", "postgres-replica"):
            raise KeyError(server)
        return self._postgres.dsn(int(self.process(server).address.rpartition(":")[2]))

    def __enter__(self) -> Self:
        if self._booking_port:
            require_free(self._booking_port)
        try:
            with uninterrupted():  # a stop signal is heard where a part is waited for, so that each part has its keeper
                self._root = workspace.create(self._announce)
                with workspace.raising(self._root, self.__exit__):
                    self._opens_at_s = opens_at_s(self._on_sale)
                    self._raise(self._root)
        except KeyboardInterrupt:  # of a signal that came when all was up, too
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._proxy is not None:
            self._proxy.give_back()
        stop_all(self._processes, within_s=_DOWN_WITHIN_S)
        self._processes.clear()
        if self._root is not None:
            workspace.remove(self._root)

    def _raise(self, root: Path) -> None:
        ports = _Ports.choose(self._booking_port, self._bookings)
        say = self._announce
        say("starting Valkey and PostgreSQL")
        postgres = self._postgres = Postgres(root, self._logs)
        initialising = postgres.initialise()
        try:
            log = self._logs / "valkey.log"
            self._keep(start_valkey(ports.valkey, root / "valkey", log, self._valkey_password))
            proxy = self._proxy = FaultProxy(ports.proxy, self._toxiproxy, self._logs, seed=self._seed)
            self._processes.extend(proxy.start())
            initialising.wait_success(within_s=30)
        finally:
            initialising.stop(within_s=0)
        self._keep(postgres.start_primary(ports.primary))
        proxied = ports.proxied()
        upstreams = {name: f"{HOST}:{upstream}" for name, upstream in proxied.items()}
        listen = proxy.populate(upstreams, ports.listeners, {f"feed_{n}": self._listen for n in range(1, _FEEDS + 1)})
        settings = self._settings(root, postgres, listen)
        say("loading the venue, copying the replica")
        self._run_target("migrate", settings)
        self._keep(postgres.start_replica(ports.replica, ports.primary, listen["replication"]))
        say("starting the booking system")
        self._start_target(settings, ports)
        self._addresses = Addresses(
            booking=f"http://{self._listen}:{ports.booking}",
            booking_others=tuple(f"http://{self._listen}:{port}" for port in ports.booking_others),
            feeds=tuple(f"ws://{self._listen}:{listen[f'feed_{n}']}" for n in range(1, _FEEDS + 1)),
            event=self._on_sale.event,
            admin=f"http://{HOST}:{ports.worker}",
            ledger=f"http://{HOST}:{ports.payments}",
            admin_token=settings["TARGET_ADMIN_TOKEN"],
            toxiproxy=proxy.url,
            proxied=upstreams,
            metrics={name: f"http://{self._host(name)}:{port}/metrics" for name, port in ports.targets().items()},
            opens_at_s=self._opens_at_s,
            keeps_accessible=self._on_sale.accessible_pairs > 0,
            code=read_codes(self._on_sale.codes)[-1] if self._on_sale.codes else "",
        )

    def _host(self, name: str) -> str:
        """Where a process of the booking system listens; the feeds are behind a proxy."""
        return self._listen if name.startswith("booking") else HOST

    def _keep(self, process: ManagedProcess) -> None:
        self._processes.append(process)

    def _settings(self, root: Path, postgres: Postgres, listen: dict[str, int]) -> dict[str, str]:
        return {
            "TARGET_REDIS_URL": f"redis://:{self._valkey_password}@{HOST}:{listen['redis']}/0",
            "TARGET_PRIMARY_DSN": " ".join(postgres.dsn(listen["postgres_primary"], shard) for shard in _SHARDS),
            "TARGET_REPLICA_DSN": " ".join(postgres.dsn(listen["postgres_replica"], shard) for shard in _SHARDS),
            "TARGET_PAYMENTS_URL": f"http://{HOST}:{listen['payments']}",
            "TARGET_SECRET": secrets.token_hex(32),
            "TARGET_ADMIN_TOKEN": secrets.token_hex(16),
            "TARGET_LEDGER_PATH": str(root / "ledger.sqlite"),
            "TARGET_PARKING_PATH": str(root / "parking"),
            "TARGET_WEBHOOK_SECRET": secrets.token_hex(32),
            **target_settings(self._on_sale, self._opens_at_s),
            "TARGET_BUG": self._bug,
            "TARGET_DATABASE_CONNECTIONS": str(
                max(_CONNECTIONS_MIN, self._on_sale.database_connections // self._bookings)
            ),
        }

    def _start_target(self, settings: dict[str, str], ports: _Ports) -> None:
        started = []
        for name, port in ports.targets().items():
            role = name.partition("-")[0]
            address = f"{self._host(name)}:{port}"
            own = {
                **settings,
                "TARGET_NODE": name,
                "TARGET_SPANS_PATH": str(spans_file(self._logs, name)) if self._traced else "",
                "TARGET_LISTEN": address,
                "TARGET_WEBHOOK_URL": f"http://{self._listen}:{ports.booking}/webhooks/payments",
            }
            command = [sys.executable, "-m", "target", role]
            log = self._logs / f"{name}.log"
            environment, niceness = child_environment(own), self._on_sale.niceness
            process = ManagedProcess(name, command, log=log, env=environment, address=address, niceness=niceness)
            self._keep(process)
            started.append((process, f"http://{address}/healthz"))
        for process, url in started:
            process.wait_healthy(lambda url=url: answers(url), within_s=_HEALTHY_WITHIN_S)  # type: ignore[misc]

    def _run_target(self, role: str, settings: dict[str, str]) -> None:
        process = ManagedProcess(
            role,
            [sys.executable, "-m", "target", role],
            log=self._logs / f"{role}.log",
            env=child_environment({**settings, "TARGET_NODE": role, "TARGET_LISTEN": f"{HOST}:0"}),
        )
        process.wait_success(within_s=_HEALTHY_WITHIN_S)


class _Ports(msgspec.Struct, frozen=True):
    """Which port each part gets: real servers first, then what the fault proxies listen on."""

    valkey: int
    primary: int
    replica: int
    proxy: int
    booking: int
    worker: int
    payments: int
    booking_others: tuple[int, ...]
    feeds: tuple[int, ...]
    listeners: tuple[int, ...]

    @classmethod
    def choose(cls, booking: int, bookings: int) -> _Ports:
        names = ("valkey", "primary", "replica", "proxy", "booking", "worker", "payments")
        proxies = 5 + _FEEDS
        ports = free_ports(len(names) + bookings - 1 + _FEEDS + proxies)
        fixed = dict(zip(names, ports, strict=False))
        if booking:
            fixed["booking"] = booking
        others, rest = ports[len(names) :][: bookings - 1], ports[len(names) + bookings - 1 :]
        return cls(**fixed, booking_others=tuple(others), feeds=tuple(rest[:_FEEDS]), listeners=tuple(rest[_FEEDS:]))

    def proxied(self) -> dict[str, int]:
        """Fault proxy → port of the real server behind it."""
        edges = {
            "redis": self.valkey,
            "postgres_primary": self.primary,
            "postgres_replica": self.replica,
            "replication": self.primary,
            "payments": self.payments,
        }
        return edges | {f"feed_{n}": port for n, port in enumerate(self.feeds, 1)}

    def targets(self) -> dict[str, int]:
        """Process of the booking system → its own port, in order of starting."""
        feeds = {f"feed-{n}": port for n, port in enumerate(self.feeds, 1)}
        others = {f"booking-{n}": port for n, port in enumerate(self.booking_others, 2)}
        return {"payments": self.payments, "booking": self.booking, **others, "worker": self.worker, **feeds}


def describe(addresses: Addresses) -> str:
    """The addresses as indented JSON, for `target up`."""
    return json.dumps(msgspec.to_builtins(addresses), indent=2)
