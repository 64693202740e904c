"""A raid on the whole system: every tactic meets the control that stands against it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import msgspec
import pytest

from harness.audit.history import Evidence
from harness.record.reader import Record
from harness.record.schema import BOT_ACTOR
from harness.record.verdict import Status
from harness.scenario import Load, Tactic
from harness.swarm.users.plan import BotPlan, bot_plan
from tests.e2e import rehearsals

pytestmark = pytest.mark.e2e

SIZE = ("--users", "40", "--bots", "50", "--spectators", "2", "--set", "duration_s=10", "--seed", "3")
JOINS_PER_DEVICE = 8
PURCHASE_LIMIT = 4


class Raid:
    def __init__(self, run: Path) -> None:
        self.run = run
        record = Record.open(run)
        load = msgspec.convert(record.run.scenario["load"], Load, strict=False)
        self.evidence = Evidence(record)
        self.bots = {plan.actor: plan for plan in (bot_plan(load, record.run.seed, n) for n in range(load.bots))}

    def joined(self, *tactics: Tactic) -> list[BotPlan]:
        joined = {join.actor for join in self.evidence.joins if join.ok and join.actor.startswith(BOT_ACTOR)}
        return [self.bots[actor] for actor in sorted(joined) if self.bots[actor].tactic in tactics]

    def seats_by_identity(self) -> Counter[str]:
        paid = [pay for pay in self.evidence.pays if pay.ok]
        return Counter(identity for identity, _ in {(pay.identity, seat) for pay in paid for seat in pay.value.seats})


@pytest.fixture(scope="module")
def raid(room: Path) -> Raid:
    out = room / "raid"
    done = rehearsals.run(room / "tmp-raid", "rehearse", "bot-raid", *SIZE, "--out", str(out))
    assert out.exists(), done.stderr
    return Raid(rehearsals.only_run(out))


def test_every_tactic_came(raid: Raid) -> None:
    of_codes = {Tactic.GUESS_CODE, Tactic.SHARE_CODE}  # this sale asks for no code
    assert {plan.tactic for plan in raid.bots.values()} == set(Tactic) - of_codes


def test_who_skips_the_challenge_never_joins(raid: Raid) -> None:
    assert raid.joined(Tactic.SKIP_CHALLENGE) == []


def test_one_device_brings_no_more_than_a_few(raid: Raid) -> None:
    assert 1 <= len(raid.joined(Tactic.SHARE_DEVICE)) <= JOINS_PER_DEVICE


def test_of_those_with_stolen_tickets_only_the_one_who_joined_honestly_is_in(raid: Raid) -> None:
    workers = len(raid.evidence.run.load.workers) if raid.evidence.run.load else 0
    assert 1 <= len(raid.joined(Tactic.REPLAY_TICKET, Tactic.TAMPER_TICKET)) <= workers


def test_nobody_has_more_seats_than_the_limit(raid: Raid) -> None:
    assert max(raid.seats_by_identity().values()) <= PURCHASE_LIMIT
    assert any(identity.startswith("reseller") for identity in raid.seats_by_identity())


def test_fans_got_most_of_the_seats_and_nothing_broke(raid: Raid) -> None:
    verdict = rehearsals.verdict(raid.run)
    share = next(sli.value for sli in verdict.slis if sli.name == "bot_share_of_seats")
    assert share is not None
    assert share < 0.6  # half of the crowd would be bots, who buy twice as many seats
    assert [found.name for found in verdict.invariants if found.status is Status.VIOLATED] == []
