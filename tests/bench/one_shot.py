"""The least that a swarm can release: fans that send one request at T0 and are done. Loaded by its processes."""

from __future__ import annotations

from typing import ClassVar

from harness.platform import Addresses, Call, FinalReads, Person, PreparedRequest
from harness.swarm.client.http import Endpoint, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.user import DONE, RehearsalUser

PAGE = Endpoint("queue_page", "GET", frozenset({200}), idempotent=True)


class NoPlatform:
    """Shows nothing; gives out clients."""

    capabilities: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, addresses: Addresses, recorder: Recorder) -> None:
        self._origin = resolve(addresses.booking)
        self._recorder = recorder

    def fan_session(self, person: Person) -> HttpClient:
        return HttpClient(self._origin, self._recorder, person)

    def final_reads(self, acked: object, timeout_s: float) -> FinalReads:
        return FinalReads(at_rest=True)


class OneShot(RehearsalUser):
    kind: ClassVar[str] = "fan"
    client: HttpClient | None = None

    @property
    def first_send_s(self) -> float | None:
        return self.client.first_send_s if self.client else None

    def arm(self, user: int) -> PreparedRequest:
        self.client = self.worker_context.platform.fan_session(
            Person(user=user, kind="fan", actor=f"{user}", identity=f"{user}")
        )
        return self.client.prepare(PAGE, "/release")

    def journey(self, t0: ReleaseInstant) -> str:
        self.client.call(PAGE, "/release", Call(t_intended_s=t0.monotonic_s))
        return DONE

    def leave(self) -> None:
        if self.client is not None:
            self.client.close()
