"""The journey of `tests.bench.journeys` for Locust's FastHttpUser, written as its users would write it.

`python -m tests.bench.journeys.fast URL EVENT FANS T0` (unix s). Prints figures as a line of JSON.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from itertools import count
from typing import Any, ClassVar

import gevent
from locust import FastHttpUser, events, task
from locust.env import Environment

from harness.processes.machine import raise_descriptors

_PATIENCE_S = 120.0


def solved(challenge: str, fan: str, bits: int) -> str:
    begun = hashlib.sha256(f"{challenge}|{fan}|".encode())
    for nonce in count():
        hashed = begun.copy()
        hashed.update(str(nonce).encode())
        if int.from_bytes(hashed.digest(), "big") >> (256 - bits) == 0:
            return f"{challenge}:{nonce}"
    raise AssertionError


def chosen(layout: dict[str, Any], counts: dict[str, int], states: dict[str, str]) -> str:
    section = random.choice([one for one in layout["sections"] if counts[one["id"]] > 0])
    free = [place for place, state in enumerate(states[section["id"]]) if state == "0"]
    place = random.choice(free)
    for row in section["rows"]:
        if place < row["seats"]:
            return f"{section['id']}-{row['id']}-{place + 1}"
        place -= row["seats"]
    raise AssertionError


class Fan(FastHttpUser):
    """One fan, who comes once."""

    connection_timeout = network_timeout = _PATIENCE_S
    host = sys.argv[1]
    event: ClassVar[str] = sys.argv[2]
    t0_s: ClassVar[float] = float(sys.argv[4])
    late_s: ClassVar[list[float]] = []
    layout: ClassVar[dict[str, Any]] = {}
    bought: ClassVar[int] = 0
    ended: ClassVar[int] = 0

    @task
    def journey(self) -> None:
        try:
            self._buy(f"fan-{id(self)}")
        finally:
            Fan.ended += 1
            gevent.sleep(_PATIENCE_S)

    def _buy(self, fan: str) -> None:
        client, base = self.client, f"/api/events/{self.event}"
        gevent.sleep(max(0.0, self.t0_s - time.time()))
        Fan.late_s.append(time.time() - self.t0_s)
        client.get(f"/queue/{self.event}")
        asked = client.get(f"{base}/challenge").json()
        device = {"Device": fan}
        proof = {"Challenge": solved(asked["challenge"], fan, asked["bits"])}
        place = client.post(f"{base}/queue", json={"fan": fan, "identity": fan}, headers=device | proof).json()
        ticket = device | {"Authorization": f"Queue {place['ticket']}"}
        self._wait(f"{base}/queue/positions", ticket)
        entered = client.post(f"{base}/admission", headers=ticket).json()
        admitted = device | {"Authorization": f"Pass {entered['pass']}"}
        answer = client.get(f"{base}/venue")
        if not Fan.layout:
            Fan.layout = answer.json()
        while True:
            counts = client.get(f"{base}/sections").json()["counts"]
            states = client.get(f"{base}/seats").json()["states"]
            with client.post(
                f"{base}/holds",
                json={"seats": [chosen(Fan.layout, counts, states)]},
                headers=admitted,
                catch_response=True,
            ) as held:
                held.success()
            if held.status_code != 409:
                break
        order = {"hold_id": held.json()["hold_id"], "card": "ok"}
        paid = client.post(f"{base}/orders", json=order, headers=admitted | {"Idempotency-Key": fan})
        Fan.bought += paid.status_code in (201, 202)

    def _wait(self, path: str, ticket: dict[str, str]) -> None:
        """Until the stream says that the fan is admitted."""
        for line in self.client.iter_lines(path, headers=ticket):
            if line == "event: admitted":
                return


def main() -> int:
    raise_descriptors()
    fans = int(sys.argv[3])
    environment = Environment(events=events, user_classes=[Fan])
    runner = environment.create_local_runner()
    runner.start(fans, spawn_rate=fans)
    while Fan.ended < fans:
        gevent.sleep(0.05)
    late_ms = sorted(1000 * late_s for late_s in Fan.late_s)
    figures = {
        "bought": Fan.bought,
        "requests": environment.stats.total.num_requests,
        "late_ms_p50": late_ms[len(late_ms) // 2],
        "late_ms_p99": late_ms[int(len(late_ms) * 0.99)],
    }
    print(json.dumps(figures), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
