"""The adapter for the reference booking system: the verbs of `harness.platform` in terms of its API.

To rehearse a platform of your own, write a class like `ReferencePlatform` and name it with `--platform FILE:CLASS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic
from typing import Final

from harness.platform import AckedOrder, Addresses, Capability, FinalReads, Person
from harness.scenario import Tactic
from harness.swarm.client.http import ClientLimits, HttpClient
from harness.swarm.client.transport import resolve
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.bot import Loot, ReferenceBotSession
from scenarios.reference.fan import ReferenceFanSession
from scenarios.reference.feed import ReferenceSpectatorSession
from scenarios.reference.probes import Prober
from scenarios.reference.settle import Operator
from scenarios.reference.venue import SharedVenue

_SETTLING: Final = 1.75
"""By so many times the time that it may take to come to rest, the whole state at rest is read, probed and swept."""


class ReferencePlatform:
    """See `harness.platform.Platform`."""

    def __init__(self, addresses: Addresses, recorder: Recorder) -> None:
        self._addresses = addresses
        self._recorder = recorder
        self._booking = resolve(addresses.booking)
        self._bookings = (self._booking, *map(resolve, addresses.booking_others))
        patience_s = addresses.answer_timeout_s
        self._limits = ClientLimits(first_byte_s=patience_s, whole_s=2 * patience_s)
        self._loot = Loot()
        self._shared = SharedVenue()
        self._settled_by_s = float("inf")

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can show; exports and sweep need an operator's access."""
        shown = {Capability.QUEUE, Capability.SEATS, Capability.HOLD_RELEASE, Capability.LOOKUP, Capability.SAME_KEY}
        if self._addresses.keeps_accessible:
            shown.add(Capability.ACCESSIBLE)
        if self._addresses.feeds:
            shown.add(Capability.FEED)
        if self._addresses.admin:
            shown |= {Capability.ORDER_EXPORT, Capability.SWEEP, Capability.PROBES}
        if self._addresses.ledger:
            shown.add(Capability.LEDGER_EXPORT)
        return frozenset(shown)

    def _client(self, person: Person) -> HttpClient:
        """At one of the booking processes, as a load balancer would choose it."""
        return HttpClient(self._bookings[person.user % len(self._bookings)], self._recorder, person, self._limits)

    def fan_session(self, person: Person) -> ReferenceFanSession:
        """A new fan."""
        client = self._client(person)
        return ReferenceFanSession(client, self._recorder, person, self._addresses.event, self._shared)

    def bot_session(self, person: Person, tactic: Tactic) -> ReferenceBotSession:
        """A new bot; those of one process share the tickets they get hold of."""
        client = self._client(person)
        event = self._addresses.event
        return ReferenceBotSession(client, self._recorder, person, event, self._shared, tactic, self._loot)

    def spectator_session(self, person: Person) -> ReferenceSpectatorSession:
        """A new spectator."""
        return ReferenceSpectatorSession(self._recorder, person, self._addresses.feeds, self._addresses.event)

    def probe_session(self, person: Person) -> ReferenceFanSession | None:
        """A probe with a pass from the operator's endpoint."""
        return self.limited_session(person, 0)

    def limited_session(self, person: Person, limit: int) -> ReferenceFanSession | None:
        """The same with a purchase limit; 0: none."""
        authority = Operator(self._addresses, self._recorder).pass_for(person.actor, limit=limit)
        if not authority:
            return None
        session = self.fan_session(person)
        session.use_pass(authority)
        return session

    def final_reads(self, acked: Sequence[AckedOrder], timeout_s: float) -> FinalReads:
        """The state at rest; then every way past the queue is tried, for a free seat where there is one."""
        self._settled_by_s = monotonic() + _SETTLING * timeout_s
        operator = Operator(self._addresses, self._recorder, self._settled_by_s)
        reads = operator.read(acked, timeout_s)
        seats = sorted(reads.seats or (), key=lambda seat: seat.state != "free")
        if seats and monotonic() < self._settled_by_s:
            granted = {"expired": operator.expired_pass(), "elsewhere": operator.pass_of_elsewhere()}
            Prober(self._booking, self._addresses, self._recorder, seats[0].seat, **granted).run()
        return reads

    def sweep(self, seats: Sequence[str]) -> None:
        """Hold and release each seat."""
        Operator(self._addresses, self._recorder, self._settled_by_s).sweep(seats)
