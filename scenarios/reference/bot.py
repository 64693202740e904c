"""One bot's session with the reference booking system: a fan's session that joins as its tactic says."""

from __future__ import annotations

import base64
from collections.abc import Callable
from time import monotonic
from typing import Final

import msgspec

from harness.platform import Answer, Call, Person, Place
from harness.record.schema import Outcome
from harness.scenario import Tactic
from harness.swarm.client.http import HttpClient
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.fan import ReferenceFanSession
from scenarios.reference.venue import SharedVenue

NOTHING_TO_STEAL: Final = "nothing_to_steal"
_MAC_BYTES: Final = 16
_EARLIER_US: Final = 600_000_000
_THIEVES: Final = frozenset({Tactic.REPLAY_TICKET, Tactic.TAMPER_TICKET})


class Loot:
    """The newest good ticket that the bots of one process know. `awaited`: one of them is getting the first."""

    def __init__(self) -> None:
        self.ticket = ""
        self.awaited = False


class ReferenceBotSession(ReferenceFanSession):
    """See `harness.platform.Platform.bot_session`."""

    def __init__(
        self,
        client: HttpClient,
        recorder: Recorder,
        person: Person,
        event: str,
        shared: SharedVenue,
        tactic: Tactic,
        loot: Loot,
    ) -> None:
        super().__init__(client, recorder, person, event, shared)
        self._tactic = tactic
        self._loot = loot

    def join(self, call: Call) -> Answer[Place]:
        """As the tactic says. Thieves who find no ticket send one of them ahead to get one honestly."""
        if self._tactic is Tactic.SKIP_CHALLENGE:
            return self._take_place(self._begin_join(call), b"")
        if self._tactic not in _THIEVES:
            return super().join(call)
        if self._loot.ticket:
            stolen, replays = self._loot.ticket, self._tactic is Tactic.REPLAY_TICKET
            ticket = stolen if replays else rewritten(stolen, self._person)
            if not ticket:
                return _nothing_to_steal()
            forged = "replayed" if replays else "tampered"
            return self._take_place(
                self._begin_join(call, forged=forged), f"Authorization: Queue {ticket}\r\n".encode()
            )
        if self._loot.awaited:
            return _nothing_to_steal()
        return self._scout(call)

    def _scout(self, call: Call) -> Answer[Place]:
        self._loot.awaited = True
        try:
            answer = super().join(call)
            self._loot.ticket = self.ticket
        finally:
            self._loot.awaited = False
        return answer


def _nothing_to_steal() -> Answer[Place]:
    return Answer(outcome=Outcome.FAIL, t_end_s=monotonic(), error=NOTHING_TO_STEAL)


def rewritten(ticket: str, person: Person) -> str:
    """The ticket with another fan and identity, an earlier join time and no device; its signature cannot be renewed.
    Empty for what is no ticket of this system's.
    """

    def earlier(content: list[object]) -> list[object]:
        kind, event, _fan, _identity, joined_us, expires_s, *_ = content
        return [kind, event, person.actor, person.identity, int(str(joined_us)) - _EARLIER_US, expires_s]

    return _edited(ticket, earlier)


def renamed(token: str, person: Person) -> str:
    """The token with another fan and identity, and otherwise as it was; its signature cannot be renewed. Empty for what
    is no token of this system's."""
    return _edited(token, lambda content: [*content[:2], person.actor, person.identity, *content[4:]])


def _edited(token: str, edit: Callable[[list[object]], list[object]]) -> str:
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        body = msgspec.msgpack.encode(edit(msgspec.msgpack.decode(raw[:-_MAC_BYTES], type=list)))
    except (ValueError, TypeError, OverflowError, RecursionError):  # no base64, no msgpack, other content
        return ""
    return base64.urlsafe_b64encode(body + raw[-_MAC_BYTES:]).rstrip(b"=").decode()
