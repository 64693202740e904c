"""The whole embedded platform behind its fault proxies, with the few moves of fans, operator and saboteur."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests

from harness.stack.reference.embedded import EmbeddedStack
from tests.target.conftest import eventually
from tests.target.processes import Answer, Client

PATIENCE_S = 60.0


@dataclass
class Platform:
    """A running stack."""

    stack: EmbeddedStack

    def __post_init__(self) -> None:
        self.base = f"/api/events/{self.stack.addresses.event}"
        self.booking = _client(self.stack.addresses.booking)
        self.worker = _client(self.stack.addresses.admin)
        self.provider = _client(self.stack.addresses.ledger)
        self._operator = f"Bearer {self.stack.addresses.admin_token}"

    # what people do

    def join(self, fan: str) -> Answer:
        return self.booking.ask("POST", f"{self.base}/queue", {"fan": fan, "identity": fan})

    def admission_of(self, fan: str) -> str:
        answer = self.worker.ask("POST", "/admin/passes", {"fan": fan}, Authorization=self._operator)
        assert answer.status == 201, answer.body
        return f"Pass {answer.json['pass']}"

    def hold(self, fan: str, *seats: str) -> Answer:
        admission = self.admission_of(fan)
        return self.booking.ask("POST", f"{self.base}/holds", {"seats": seats}, Authorization=admission)

    def pay(self, fan: str, hold_id: str) -> Answer:
        order = {"hold_id": hold_id, "card": "ok"}
        headers = {"Authorization": self.admission_of(fan), "Idempotency_Key": hold_id[:60]}
        return self.booking.ask("POST", f"{self.base}/orders", order, **headers)

    def order(self, fan: str, order_id: str) -> Answer:
        return self.booking.ask("GET", f"/api/orders/{order_id}", Authorization=self.admission_of(fan))

    def seats(self) -> dict[str, Any]:
        answer = self.booking.ask("GET", f"{self.base}/seats")
        assert answer.status == 200, answer.body
        return dict(answer.json)

    def status(self) -> dict[str, Any]:
        answer = self.booking.ask("GET", "/status")
        assert answer.status == 200
        return dict(answer.json)

    def ledger(self, order_id: str) -> list[str]:
        """The provider's entries for an order."""
        lines = self.provider.ask("GET", "/ledger", Authorization=self._operator).body.splitlines()
        return [row["entry"] for row in map(json.loads, lines) if row["order_id"] == order_id]

    # what can be seen

    def breaker(self, dependency: str) -> str:
        return str(self.status()["breakers"][dependency])

    def shows(self, dependency: str, *, kinds: tuple[str, ...], in_force: bool) -> bool:
        """Whether breaker and fallbacks are shown so, by /status and by the metrics alike."""
        status = self.status()
        told = {status["fallbacks"][kind]["in_force"] for kind in kinds}
        states = (1.0, 2.0) if in_force else (0.0,)
        return (
            told == {in_force}
            and (status["breakers"][dependency] != "closed") is in_force
            and max(self.metric("target_breaker_state", f'dependency="{dependency}"')) in states
            and all(max(self.metric("target_fallback_in_force", f'kind="{kind}"')) == in_force for kind in kinds)
        )

    def used(self, kind: str) -> int:
        """How many answers of booking were given by this fallback."""
        return int(self.status()["fallbacks"][kind]["answers"])

    def metric(self, name: str, label: str) -> list[float]:
        lines = self.booking.ask("GET", "/metrics").body.decode().splitlines()
        return [float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{") and label in line]

    # what is done to it

    @contextlib.contextmanager
    def disabled(self, *proxies: str) -> Iterator[None]:
        """Connections are cut and refused."""
        try:
            for proxy in proxies:
                self._sabotage(proxy, {"enabled": False})
            yield
        finally:
            for proxy in proxies:
                self._sabotage(proxy, {"enabled": True})

    @contextlib.contextmanager
    def hanging(self, proxy: str) -> Iterator[None]:
        """Connections stay, and nothing passes."""
        with self.toxic(proxy, "bandwidth", "upstream", rate=0), self.toxic(proxy, "bandwidth", "downstream", rate=0):
            yield

    @contextlib.contextmanager
    def killed(self, process: str) -> Iterator[None]:
        """It dies without a chance to tidy up."""
        self.stack.process(process).kill()
        try:
            yield
        finally:
            self.stack.process(process).start_again()

    @contextlib.contextmanager
    def toxic(self, proxy: str, kind: str, stream: str, **attributes: int) -> Iterator[None]:
        name = f"{kind}_{stream}"
        self._sabotage(f"{proxy}/toxics", {"name": name, "type": kind, "stream": stream, "attributes": attributes})
        try:
            yield
        finally:
            url = f"{self.stack.addresses.toxiproxy}/proxies/{proxy}/toxics/{name}"
            requests.delete(url, timeout=PATIENCE_S).raise_for_status()

    def drop_sockets(self, proxy: str) -> None:
        self._sabotage(f"{proxy}/connections/drop", {"percent": 100})

    def _sabotage(self, path: str, body: dict[str, object]) -> None:
        url = f"{self.stack.addresses.toxiproxy}/proxies/{path}"
        requests.post(url, json=body, timeout=PATIENCE_S).raise_for_status()

    def recovered(self) -> None:
        """Waits until every breaker is closed and the event is loaded."""
        eventually(lambda: set(self.status()["breakers"].values()) == {"closed"}, deadline_s=PATIENCE_S)
        eventually(lambda: not self.seats()["stale"], deadline_s=PATIENCE_S, why="the seats")


def _client(url: str) -> Client:
    return Client(urlsplit(url).port or 0)
