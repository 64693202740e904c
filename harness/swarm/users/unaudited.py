"""What stands for an adapter where users of a locustfile come: it shows nothing, so nothing is audited."""

from __future__ import annotations

from collections.abc import Sequence

from harness.platform import AckedOrder, Addresses, Capability, FanSession, FinalReads, Person, SpectatorSession
from harness.swarm.recording.recorder import Recorder


class Unaudited:
    """A `Platform` without capabilities."""

    capabilities: frozenset[Capability] = frozenset()

    def __init__(self, addresses: Addresses, recorder: Recorder) -> None:
        """Like every adapter; it needs neither."""

    def fan_session(self, person: Person) -> FanSession:
        """Nobody asks for one."""
        raise NotImplementedError

    def spectator_session(self, person: Person) -> SpectatorSession:
        """Nobody asks for one."""
        raise NotImplementedError

    def final_reads(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:  # noqa: ARG002 - none are read
        """Nothing can be read."""
        return FinalReads(at_rest=False)

    def sweep(self, seats: Sequence[str]) -> None:
        """No seat is known."""
