"""Journeys of the user's own in place of each shipped one, with a fault, in both halves of a paired rehearsal."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from harness.processes.ports import free_ports
from harness.record.reader import Record
from harness.record.verdict import Status
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.e2e.shop_scenario import kind_scenario

pytestmark = pytest.mark.e2e

JOURNEYS = """
from time import monotonic

import gevent
from gatecrash.journeys import (
    DONE, GAVE_UP, LEFT, Barrier, BotUser, Call, FanUser, LurkerUser, Pace, Person, Platform, ProbePlan, ReleaseInstant,
    SpectatorUser,
)


def buys(user, t0, quantity):
    pace, session = Pace(t0.monotonic_s), user.session
    user.at("queue_page")
    pace.completed(session.queue_page(pace.at_once()).t_end_s)
    user.at("hold")
    held = session.hold_stock(pace.at_once(), pool="standing", quantity=quantity)
    if held.value is None:
        return GAVE_UP
    pace.completed(held.t_end_s)
    user.at("pay")
    paid = session.pay(pace.after(0.2), held.value, key=f"{user.plan.actor}-1", declined_on_purpose=False)
    return DONE if paid.value is not None else GAVE_UP


class Hurried(FanUser):
    def journey(self, t0: ReleaseInstant) -> str:
        return buys(self, t0, 1)


class Greedy(BotUser):
    def journey(self, t0: ReleaseInstant) -> str:
        return buys(self, t0, 4)


class Curious(LurkerUser):
    def journey(self, t0: ReleaseInstant) -> str:
        self.session.queue_page(Pace(t0.monotonic_s).at_once())
        return LEFT


class Watching(SpectatorUser):
    pass


class Counting:
    step = "arming"

    def __init__(self, platform: Platform, barrier: Barrier, plan: ProbePlan) -> None:
        self.platform, self.barrier, self.plan = platform, barrier, plan

    def go(self) -> None:
        actor = self.plan.actor
        session = self.platform.fan_session(Person(user=-self.plan.number, kind="probe", actor=actor, identity=actor))
        due_s = self.barrier.wait().monotonic_s
        self.step = "stock"
        while True:
            gevent.sleep(max(0.0, due_s - monotonic()))
            session.stock(Call(t_intended_s=due_s))
            due_s += 1.0
"""
FANS, BOTS, LURKERS, SPECTATORS, PROBES = 60, 6, 5, 3, 2


@pytest.fixture(scope="module")
def pair(room: Path) -> Rehearsed:
    (room / "mine.py").write_text(JOURNEYS)
    edge = free_ports(1)[0]
    classes = ("Hurried", "Greedy", "Curious", "Watching", "Counting")
    load = {"fans": FANS, "bots": BOTS, "lurkers": LURKERS, "spectators": SPECTATORS, "probes": PROBES}
    scenario = {
        "duration_s": 12,
        "settle_timeout_s": 20,
        "load": {**load, "arrivals": {"shape": "ramp", "ramp_s": 10}},
        "journeys": dict(
            zip(("fan", "bot", "lurker", "spectator", "probe"), [f"mine.py:{name}" for name in classes], strict=True)
        ),
        "platform": {"rules": {"stock": {"standing": 400}, "purchase_limit": 4, "hold_ttl_s": 4}},
        "invariants": ["bought_as_told", "money_reconciles", "charged_as_shown"],  # nobody here goes for a seat
        "objectives": {"error_ratio": {"target": 0.2, "worst": 0.6}},
        "faults": [{"experiment": "cut", "edge": "front", "start_s": 4, "length_s": 2}],
    }
    with kind_scenario(
        room, "SeatShop", "--queue none --stock 400 --seats 30 --basket-ttl 4", scenario, front=edge
    ) as file:
        found = rehearsals.rehearse(room, str(file), "--paired")
    assert (found.run / "verdict.json").exists(), found.done.stderr
    return found


def halves(pair: Rehearsed) -> list[Path]:
    return [pair.run, pair.run / "control"]


def test_everybody_takes_the_users_own_journey_in_both_halves(pair: Rehearsed) -> None:
    for half in halves(pair):
        record = Record.open(half)
        assert record.run.complete, pair.done.stderr
        assert record.run.load is not None
        assert record.run.load.users_released == FANS + BOTS + LURKERS + SPECTATORS
        operations = pq.read_table(half / "operations.parquet").to_pandas()
        of_fans = operations[operations["actor"].str.startswith("fan-") & (operations["t_invoke_s"] < 12)]
        assert set(of_fans["function"]) == {"hold", "pay"}
        assert operations["actor"].str.startswith("bot-").any()
        assert set(operations[operations["actor"].str.startswith("probe-")]["function"]) == {"stock"}
        requests = pq.read_table(half / "requests.parquet").to_pandas()
        assert len(set(requests[requests["kind"] == "lurker"]["actor"])) == LURKERS
        assert len(set(requests[requests["step"] == "feed"]["actor"])) >= SPECTATORS


def test_they_are_audited_as_the_shipped_ones_are(pair: Rehearsed) -> None:
    for half in halves(pair):
        verdict = rehearsals.verdict(half)
        found = {result.name: result.status for result in verdict.invariants}
        held = {"no_oversell", "bought_as_told", "money_reconciles", "no_unasked_purchase"}
        assert not [name for name, status in found.items() if status is Status.VIOLATED], verdict.reason
        assert {found[name] for name in held} <= {Status.HELD, Status.NOT_EXERCISED}
        assert found["bought_as_told"] is Status.HELD


def test_the_fault_is_in_one_half_and_the_two_are_compared(pair: Rehearsed) -> None:
    treatment, control = (Record.open(half) for half in halves(pair))
    assert [len(half.faults.faults) for half in (control, treatment)] == [0, 1]
    assert control.run.journey_digest == treatment.run.journey_digest
    (fault,) = rehearsals.verdict(pair.run).faults
    assert fault.proven, fault.error
    found = rehearsals.verdict(pair.run).paired
    assert found is not None
    assert not found.left_out
    assert pair.done.stderr.count("preparing") == 2
    assert 'id="paired"' in (pair.run / "report.html").read_text()
