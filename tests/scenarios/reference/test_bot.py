"""What each tactic sends to the platform. A real server gives the answers; the tickets are the platform's own."""

from __future__ import annotations

import json
from time import monotonic

import pytest

from harness.platform import Call, Person
from harness.record.schema import Outcome
from harness.scenario import Tactic
from harness.stack import Addresses
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.bot import NOTHING_TO_STEAL, ReferenceBotSession, rewritten
from scenarios.reference.platform import ReferencePlatform
from target.http.tickets import Signer, Ticket, TokenError
from tests.harness.swarm.scripted_server import Asked, ScriptedServer, response, serving

JOINED_US = 4_000_000_000_000_000
TICKET = Signer("secret", "game-1").ticket("scout", "scout", JOINED_US, device="d")
QUEUE = "/api/events/game-1/queue"


def queue_of(asked: Asked) -> list[bytes]:
    """Takes everybody."""
    document = {"kind": "proof_of_work", "challenge": "c", "bits": 4}
    if asked.target == QUEUE:
        document = {"ticket": TICKET, "position": 1, "epoch": "e"}
    return [response(json.dumps(document).encode(), 200)]


def bots(server: ScriptedServer, *tactics: Tactic) -> list[ReferenceBotSession]:
    platform = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="game-1"), Recorder(1))
    people = [
        Person(user=n, kind="bot", actor=f"bot-{n}", identity=f"me-{n}", device=f"box-{n}") for n in range(len(tactics))
    ]
    return [platform.bot_session(person, tactic) for person, tactic in zip(people, tactics, strict=True)]


def now() -> Call:
    return Call(t_intended_s=monotonic())


def test_one_bot_does_not_even_look_at_the_challenge() -> None:
    with serving(queue_of) as server:
        (bot,) = bots(server, Tactic.SKIP_CHALLENGE)
        assert bot.join(now()).outcome is Outcome.OK
        bot.close()
    (joined,) = server.asked
    assert (joined.target, joined.header("challenge"), joined.header("device")) == (QUEUE, "", "box-0")


@pytest.mark.parametrize("tactic", [Tactic.SHARE_DEVICE, Tactic.OVER_LIMIT])
def test_others_join_as_fans_do(tactic: Tactic) -> None:
    with serving(queue_of) as server:
        (bot,) = bots(server, tactic)
        assert bot.join(now()).outcome is Outcome.OK
        bot.close()
    _, joined = server.asked
    assert joined.header("challenge").startswith("c:")
    assert json.loads(joined.body) == {"fan": "bot-0", "identity": "me-0"}


def test_thieves_send_one_ahead_and_then_use_that_ticket() -> None:
    with serving(queue_of) as server:
        scout, replayer, tamperer = bots(server, Tactic.TAMPER_TICKET, Tactic.REPLAY_TICKET, Tactic.TAMPER_TICKET)
        for bot in (scout, replayer, tamperer):
            assert bot.join(now()).outcome is Outcome.OK
            bot.close()
    _, honest, replayed, tampered = server.asked
    assert honest.header("authorization") == ""
    assert (replayed.header("authorization"), replayed.header("device")) == (f"Queue {TICKET}", "box-1")
    assert tampered.header("authorization") == f"Queue {rewritten(TICKET, tamperer._person)}"


def test_until_there_is_a_ticket_to_steal_thieves_wait() -> None:
    with serving(lambda _: [response(b"", 503)]) as server:
        first, second = bots(server, Tactic.REPLAY_TICKET, Tactic.REPLAY_TICKET)
        first._loot.awaited = True
        answer = second.join(now())
        assert (answer.error, answer.final) == (NOTHING_TO_STEAL, False)
        assert server.asked == []
        first._loot.awaited = False
        assert second.join(now()).error == "status"
        assert not second._loot.awaited


def test_a_rewritten_ticket_says_what_the_thief_wants_and_only_its_signature_is_wrong() -> None:
    class Gullible(Signer):
        def _is_genuine(self, body: bytes, mac: bytes) -> bool:
            return True

    thief = Person(user=1, kind="bot", actor="bot-1", identity="me-1")
    forged = rewritten(TICKET, thief)
    with pytest.raises(TokenError, match="signature"):
        Signer("secret", "game-1").read(Ticket, forged)
    read = Gullible("secret", "game-1").read(Ticket, forged)
    assert (read.fan, read.identity, read.device) == ("bot-1", "me-1", "")
    assert read.joined_us < JOINED_US


def test_the_history_says_how_a_ticket_was_forged() -> None:
    recorder = Recorder(1)
    with serving(queue_of) as server:
        platform = ReferencePlatform(Addresses(booking=server.url, feeds=(), event="game-1"), recorder)
        for n, tactic in enumerate((Tactic.REPLAY_TICKET, Tactic.REPLAY_TICKET, Tactic.TAMPER_TICKET)):
            bot = platform.bot_session(Person(user=n, kind="bot", actor=f"bot-{n}", identity=f"me-{n}"), tactic)
            assert bot.join(now()).outcome is Outcome.OK
            bot.close()
    rows = recorder.take(ReleaseInstant(0.0, 0.0))["operations"].to_pylist()
    assert [json.loads(row["value"]).get("ticket") for row in rows] == [None, "replayed", "tampered"]
