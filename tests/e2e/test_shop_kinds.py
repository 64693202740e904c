"""Whole rehearsals of shops of other kinds: members who wait on a stream of events for seats, a third party's waiting
room on another host, a queue over a WebSocket, and a lottery for seats and standing tickets.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from harness.processes.ports import HOST, free_ports
from harness.record.reader import Record
from harness.record.verdict import Decision, InvariantResult, Status, Verdict
from harness.sli.indicators import measure
from harness.swarm.messaging import KEY_VARIABLE
from reports.view.frames import read
from reports.view.journeys.journey import FunnelRow, funnel
from tests.e2e import rehearsals
from tests.e2e.rehearsals import Rehearsed
from tests.e2e.shop_scenario import KINDS, kind_scenario

pytestmark = pytest.mark.e2e

JOURNEY = {"think_s": 0.2, "patience_s": 25, "abandon_hold_ratio": 0.15, "over_limit_ratio": 0.1}
RULES = {"purchase_limit": 4, "hold_ttl_s": 3, "hold_late_max_s": 1, "map_late_max_s": 1}
OBJECTIVES = {
    "checkout_completion_ratio": {"target": 0.7, "worst": 0.3},
    "error_ratio": {"target": 0.1, "worst": 0.5},
    "queue_admission_rate_per_s": {"target": 3, "worst": 0.5},
}
MONEY = {"money_reconciles", "charged_as_shown", "one_key_one_purchase", "no_unasked_purchase", "no_lost_order"}
SEATS = {"no_double_sell", "seat_conservation", "granted_as_asked", "no_lost_booking"}
STOCK = {"no_oversell", "no_leaked_stock", "bought_as_told"}


def rehearsed(
    folder: Path,
    adapter: str,
    shop: str,
    *options: str,
    load: Mapping[str, Any],
    platform: Mapping[str, Any],
    duration_s: float = 13,
) -> Rehearsed:
    scenario = {
        "duration_s": duration_s,
        "settle_timeout_s": 20,
        "load": {"spectators": 0, "arrivals": {"hum_ratio": 0.1}, "journey": JOURNEY, **load},
        "platform": platform,
        "objectives": OBJECTIVES,
    }
    with kind_scenario(folder, adapter, shop, scenario) as file:
        return rehearsals.rehearse(folder, str(file), *options)


def results(verdict: Verdict) -> dict[str, InvariantResult]:
    return {result.name: result for result in verdict.invariants}


def require_held(verdict: Verdict, names: set[str]) -> None:
    found = results(verdict)
    assert {name: found[name].status for name in names} == dict.fromkeys(names, Status.HELD)
    assert {name for name in names if not found[name].chances} == set()


def steps(run: Path) -> dict[str, FunnelRow]:
    """The steps of the journey, as the report tells them."""
    record = Record.open(run)
    page = (run / "report.html").read_text(encoding="utf-8")
    found = {row.title: row for row in funnel(record, read(record))}
    assert all(title in page and row.reasons in page for title, row in found.items())
    return found


# Members: a login, a stream of events, seats that spectators follow.

MEMBERS, LURKERS, SPECTATORS = 60, 6, 4


@pytest.fixture(scope="module")
def members(room: Path) -> Rehearsed:
    folder = room / "members"
    folder.mkdir()
    rows = [f"member{number:03},word{number:03}" for number in range(MEMBERS + LURKERS + 2)]
    (folder / "people.csv").write_text("\n".join(["name,password", *rows]) + "\n")
    return rehearsed(
        folder,
        "MemberShop",
        f"--login {folder}/people.csv --queue sse --seats 100 --stock 0 --admit-per-s 12 --basket-ttl 3",
        load={"fans": MEMBERS, "lurkers": LURKERS, "spectators": SPECTATORS},
        platform={"people": "people.csv", "secret_columns": ["password"], "rules": RULES},
    )


def test_members_buy_seats_after_a_stream_of_events(members: Rehearsed) -> None:
    verdict = rehearsals.verdict(members.run)
    assert verdict.verdict is Decision.READY, (verdict.reason, members.done.stderr)
    require_held(verdict, MONEY | SEATS | {"queue_order", "position_monotonic", "feed_gap_free"})
    assert "no_oversell" not in results(verdict)  # of pools
    assert verdict.load is not None
    assert verdict.load.users_released == MEMBERS + LURKERS + SPECTATORS


def test_every_member_and_lurker_logs_in_with_a_row_of_their_own(members: Rehearsed) -> None:
    requests = pq.read_table(members.run / "requests.parquet").to_pandas()
    logins = requests[requests["page"] == "POST /onsale/login"]
    assert set(logins["actor"]) >= {f"fan-{number:06d}" for number in range(MEMBERS - 3)}
    assert {f"lurker-{number:06d}" for number in range(LURKERS - 2)} <= set(logins["actor"])
    assert set(logins["outcome"]) == {"ok"}
    orders = pq.read_table(members.run / "final_orders.parquet").to_pylist()
    assert {order["fan"] for order in orders} <= {*requests["actor"], f"fan-{MEMBERS + LURKERS + 1:06d}"}


def test_the_words_of_the_report_are_of_a_queue_and_of_seats(members: Rehearsed) -> None:
    titles = ["Queue page", "Joined the queue", "Admitted", "Saw the seat map", "Held seats"]
    assert list(steps(members.run))[: len(titles)] == titles


# A third party's waiting room on another host; half of the fans run on a worker that has joined from elsewhere.


@contextmanager
def worker_from_elsewhere(folder: Path, at: str, *lends: str) -> Iterator[None]:
    """`gatecrash worker` in a folder of its own, lending what it must."""
    key = secrets.token_hex(32)
    words = rehearsals.command("worker", "--master", at, "--key", key, "--wait", "200", *lends)
    environment = {**os.environ, "PYTHONPATH": str(rehearsals.ROOT), "LITTLE_SHOP_TOKEN": "little-shop"}
    with pytest.MonkeyPatch.context() as patch, subprocess.Popen(words, cwd=folder, env=environment) as worker:
        patch.setenv(KEY_VARIABLE, key)
        try:
            yield
        finally:
            worker.kill()


@pytest.fixture(scope="module")
def waiting_room(room: Path) -> Rehearsed:
    folder = room / "waiting-room"
    folder.mkdir()
    at = f"{HOST}:{free_ports(1)[0]}"
    with worker_from_elsewhere(folder, at, "--load", str(KINDS), "--secret", "LITTLE_SHOP_TOKEN"):
        return rehearsed(
            folder,
            "RoomShop",
            "--queue room --stock 90 --basket-ttl 3",
            *("--remote-workers", "1", "--listen", at),
            load={"fans": 60},
            platform={"hosts": ["127.0.0.2"], "rules": {**RULES, "stock": {"standing": 90}}},
        )


def test_a_worker_from_elsewhere_runs_the_users_own_adapter(waiting_room: Rehearsed) -> None:
    requests = pq.read_table(waiting_room.run / "requests.parquet").to_pandas()
    fans = requests[requests["kind"] == "fan"].groupby("worker")["actor"].nunique()
    assert len(fans) == 2
    assert fans.min() >= 20
    assert set(requests[requests["step"] == "pay"]["worker"]) == set(fans.index)


def test_fans_come_back_from_the_other_host_and_buy(waiting_room: Rehearsed) -> None:
    verdict = rehearsals.verdict(waiting_room.run)
    assert verdict.verdict is Decision.READY, (verdict.reason, waiting_room.done.stderr)
    require_held(verdict, MONEY | STOCK | {"position_monotonic"})
    requests = pq.read_table(waiting_room.run / "requests.parquet").to_pandas()
    asked = requests["page"].str.split("?").str[0]
    assert {"GET /line", "GET /onsale/admitted"} <= set(asked)


def test_an_order_that_the_room_does_not_show_is_not_observable(waiting_room: Rehearsed) -> None:
    found = results(rehearsals.verdict(waiting_room.run))
    for name in ("queue_order", "place_kept"):
        assert found[name].status is Status.NOT_OBSERVABLE
        assert "no admission numbers" in found[name].note
    assert "no admission numbers" in (waiting_room.run / "report.md").read_text(encoding="utf-8")


# A queue whose positions come over a WebSocket.


def test_a_queue_over_a_websocket_is_judged_as_any_other(room: Path) -> None:
    folder = room / "socket"
    folder.mkdir()
    run = rehearsed(
        folder,
        "SocketShop",
        "--queue websocket --stock 60 --admit-per-s 12 --basket-ttl 3",
        load={"fans": 50},
        platform={"rules": {**RULES, "stock": {"standing": 60}}},
        duration_s=12,
    )
    verdict = rehearsals.verdict(run.run)
    assert verdict.verdict is Decision.READY, (verdict.reason, run.done.stderr)
    require_held(verdict, MONEY | STOCK | {"queue_order", "position_monotonic"})
    requests = pq.read_table(run.run / "requests.parquet").to_pandas()
    sockets = requests[requests["method"] == "WS"]
    assert sockets["actor"].nunique() >= 45
    assert set(sockets["status"]) == {101}


# A lottery for seats and standing tickets.

DRAWN, CAME = 50, 90


@pytest.fixture(scope="module")
def lottery(room: Path) -> Rehearsed:
    folder = room / "lottery"
    folder.mkdir()
    rules = {**RULES, "stock": {"standing": 40}, "queue_policy": "shuffle"}
    return rehearsed(
        folder,
        "DrawnShop",
        f"--queue lottery --draw-after 3 --lots {DRAWN} --seats 60 --stock 40 --admit-per-s 10 --basket-ttl 3",
        load={"fans": CAME, "arrivals": {}, "journey": {**JOURNEY, "repeat_payment_ratio": 0.2}},  # some are drawn
        platform={"rules": rules},
        duration_s=16,
    )


def test_both_kinds_are_sold_to_those_who_were_drawn(lottery: Rehearsed) -> None:
    verdict = rehearsals.verdict(lottery.run)
    assert verdict.verdict is Decision.READY, (verdict.reason, lottery.done.stderr)
    require_held(verdict, MONEY | SEATS | {"no_leaked_stock", "bought_as_told", "position_monotonic"})
    orders = pq.read_table(lottery.run / "final_orders.parquet").to_pylist()
    assert {bool(order["seat"]) for order in orders} == {True, False}


def test_who_was_not_drawn_is_no_failure(lottery: Rehearsed) -> None:
    values = {one.name: one for one in measure(Record.open(lottery.run))}
    assert values["empty_handed_ratio"].samples <= DRAWN
    assert values["queue_admission_rate_per_s"].samples == DRAWN
    assert "never admitted" not in values["queue_admission_rate_per_s"].note
    assert values["time_to_first_position_p95_s"].value is not None
    assert values["time_to_first_position_p95_s"].value > 2.0  # the draw comes 3 s after the first
    assert f"{CAME - DRAWN} not drawn by lot" in steps(lottery.run)["Admitted"].reasons


def test_the_order_is_judged_by_the_places_that_were_drawn(lottery: Rehearsed) -> None:
    order = results(rehearsals.verdict(lottery.run))["queue_order"]
    assert order.status is Status.HELD
    assert order.chances > 10 * DRAWN
    assert f"{CAME - DRAWN} were not drawn" in order.note


def test_the_draw_of_the_trial_purchase_is_not_that_of_the_run(lottery: Rehearsed) -> None:
    assert lottery.done.stderr.count("preparing") == 2


def test_a_shop_that_calls_fans_in_as_they_came_instead_is_found(room: Path) -> None:
    folder = room / "ignored-draw"
    folder.mkdir()
    run = rehearsed(
        folder,
        "DrawnShop",
        "--plant ignored_draw --queue lottery --draw-after 2 --seats 60 --stock 60 --admit-per-s 6 --basket-ttl 3",
        load={"fans": 40, "arrivals": {}},
        platform={"rules": {**RULES, "queue_policy": "shuffle"}},
        duration_s=12,
    )
    order = results(rehearsals.verdict(run.run))["queue_order"]
    assert run.done.returncode == 4, run.done.stderr
    assert order.status is Status.VIOLATED
    assert "who drew an earlier lot" in order.violations[0].summary
