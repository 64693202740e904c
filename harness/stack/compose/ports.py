"""The services of docker-compose.yml, and at which ports of loopback this machine reaches them."""

from __future__ import annotations

from typing import Final

import msgspec

from harness.processes.ports import HOST, free_ports
from harness.stack import Addresses

TARGETS: Final = ("payments", "booking", "worker", "feed-1", "feed-2")
DIRECT: Final = {"redis": "valkey", "postgres-primary": "", "postgres-replica": ""}  # service → its other name
ONE_SHOT: Final = frozenset({"migrate"})
PROXIED: Final = {
    "redis": "redis:6379",
    "postgres_primary": "postgres-primary:5432",
    "postgres_replica": "postgres-replica:5432",
    "replication": "postgres-primary:5432",
    "payments": "payments:8000",
    "feed_1": "feed-1:8000",
    "feed_2": "feed-2:8000",
}


class ComposePorts(msgspec.Struct, frozen=True):
    """Where the host reaches the booking system (`targets`), the servers behind it past every proxy (`direct`), the
    fault proxies, and their API."""

    targets: dict[str, int]
    direct: dict[str, int]
    proxies: dict[str, int]
    toxiproxy: int

    @classmethod
    def choose(cls, booking: int) -> ComposePorts:
        """Free ones; `booking` 0 takes a free one too."""
        found = iter(free_ports(len(TARGETS) + len(DIRECT) + len(PROXIED) + 1))
        targets, direct, proxies = ({name: next(found) for name in names} for names in (TARGETS, DIRECT, PROXIED))
        return cls(targets | ({"booking": booking} if booking else {}), direct, proxies, next(found))

    def of(self, service: str) -> int:
        """The port of a service, past every proxy. Raises KeyError."""
        return {**self.targets, **self.direct, "toxiproxy": self.toxiproxy}[service]

    def variables(self) -> dict[str, str]:
        """What docker-compose.yml asks of the environment."""
        own = self.targets | self.direct
        targets = {f"GATECRASH_PORT_{_variable(name)}": str(port) for name, port in own.items()}
        proxies = {f"GATECRASH_PROXY_{_variable(name)}": str(port) for name, port in self.proxies.items()}
        return {**targets, **proxies, "GATECRASH_PORT_TOXIPROXY": str(self.toxiproxy)}

    def proxy_documents(self) -> list[dict[str, object]]:
        """The proxies as Toxiproxy's configuration."""
        return [
            {"name": name, "listen": f"0.0.0.0:{self.proxies[name]}", "upstream": upstream, "enabled": True}
            for name, upstream in PROXIED.items()
        ]

    def addresses(self, event: str, admin_token: str) -> Addresses:
        """As swarm, chaos and scraper reach it from the host."""
        url = {name: f"http://{HOST}:{port}" for name, port in self.targets.items()}
        return Addresses(
            booking=url["booking"],
            feeds=tuple(f"ws://{HOST}:{self.proxies[name]}" for name in ("feed_1", "feed_2")),
            event=event,
            admin=url["worker"],
            ledger=url["payments"],
            admin_token=admin_token,
            toxiproxy=f"http://{HOST}:{self.toxiproxy}",
            proxied=dict(PROXIED),
            metrics={name: f"{address}/metrics" for name, address in url.items()},
        )


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
