"""Records of platforms that answer well to every question asked of them: none of them earns READY."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import msgspec
import pytest

from harness.audit import audit
from harness.errors import InputError
from harness.judging.grade import grade
from harness.record.schema import CrashSummary
from harness.record.verdict import Decision, FaultResult, Status, Verdict
from harness.registry.invariants import INVARIANTS
from harness.sli import measure
from tests.builders import RunBuilder
from tests.paper_sale import EPOCH, Row


def verdict(builder: RunBuilder, faults: tuple[FaultResult, ...] | None = None) -> Verdict:
    record = builder.record()
    return grade(record, measure(record), audit(record), builder.fault_results() if faults is None else faults)


def operations(builder: RunBuilder, function: str) -> list[Row]:
    return [row for row in builder.tables["operations"] if row["function"] == function]


def change(row: Row, **fields: object) -> None:
    """Change fields of an operation's value; null takes one away."""
    value = json.loads(str(row["value"])) | fields
    row["value"] = json.dumps({name: one for name, one in value.items() if one is not None})


def without(builder: RunBuilder, seats: set[str]) -> None:
    """Leave out the sweeps of these seats."""
    rows = builder.tables["operations"]
    rows[:] = [row for row in rows if not (row["function"] == "sweep" and row["key"] in seats)]
    for number, row in enumerate(rows):
        row["op"] = number


def resting_seats(builder: RunBuilder, seats: Iterable[Row]) -> None:
    builder.tables["final_seats"] = list(seats)
    builder._forget_resting_seq()


@pytest.mark.parametrize("fan", ["a stranger", "fan-9001"])
@pytest.mark.parametrize("key", ["", "key-of-nobody"])
def test_seats_that_are_sold_in_the_export_alone(fan: str, key: str) -> None:
    """Charged, ticketed and on the map; no fan asked for it. One of the names is of a fan who waits to the end."""
    builder = RunBuilder()
    builder.operation(9001, "join", "fan-9001", {"position": 61, "epoch": EPOCH}, 50.0, 50.1)
    free = next(row for row in builder.tables["final_seats"] if row["state"] == "free")
    without(builder, {str(free["seat"])})
    free["state"] = "sold"
    resting_seats(builder, builder.tables["final_seats"])
    builder.order(9001, "ghost", key, [str(free["seat"])], "confirmed", ("capture",))
    builder.tables["final_orders"][-1]["fan"] = fan
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert f"{fan} never asked for order ghost" in result.reason


def test_fans_let_in_without_a_number_stand_in_no_order() -> None:
    builder = RunBuilder()
    for enter in operations(builder, "enter")[30:]:
        change(enter, admission_no=None)
        enter |= {"t_invoke_s": 0.9, "t_complete_s": 0.95}
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    undecided = {one.name for one in result.invariants if one.note == "30 fans were let in without an admission number"}
    assert undecided == {"queue_order", "place_kept", "admission_rate"}


def test_of_holds_without_a_time_to_live_nobody_can_say_that_they_were_kept() -> None:
    builder = RunBuilder().expire_early()
    for hold in operations(builder, "hold")[-2:]:
        change(hold, ttl_s=None)
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "2 holds were granted without a time to live" in result.reason


def test_prices_that_are_hidden_from_some_fans() -> None:
    builder = RunBuilder()
    paid = operations(builder, "pay")[-10]
    change(paid, shown_cents=None)
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "1 purchases were paid for without a price having been shown" in result.reason


def test_seats_that_vanish_together_with_the_capacity() -> None:
    builder = RunBuilder()
    held = {seat for row in operations(builder, "hold") for seat in json.loads(str(row["value"]))["seats"]}
    rows = builder.tables["final_seats"]
    gone = str(next(row["seat"] for row in rows if row["seat"] not in held))
    without(builder, {gone})
    builder.seats.remove(gone)  # the capacity that the platform publishes
    resting_seats(builder, (row for row in rows if row["seat"] != gone))
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert f"seat {gone} was on the map and is no longer" in result.reason


def test_a_refund_to_the_card_of_another_fan() -> None:
    builder = RunBuilder()
    ledger = builder.tables["final_ledger"]
    capture = next(row for row in ledger if row["entry"] == "capture")
    decline = next(row for row in ledger if row["entry"] == "decline")
    ledger.append(decline | {"entry": "capture", "charge_id": "once more"})
    ledger.append(decline | {"entry": "refund", "charge_id": capture["charge_id"]})
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert f"went to the charge of order {capture['order_id']}" in result.reason


def test_places_that_are_each_told_in_an_epoch_of_their_own() -> None:
    builder = RunBuilder()
    for number, event in enumerate(builder.tables["events"]):
        if event["event"] == "position":
            event["epoch"] = f"epoch-{number}"
    for number, join in enumerate(operations(builder, "join")):
        change(join, epoch=f"epoch-of-join-{number}")
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "every place was told in an epoch of its own" in result.reason


def test_places_that_are_told_in_an_epoch_of_each_fan() -> None:
    builder = RunBuilder()
    for event in builder.tables["events"]:
        if event["event"] == "position":
            event["epoch"] = f"epoch-of-{event['actor']}"
    for join in operations(builder, "join"):
        change(join, epoch=f"epoch-of-{join['actor']}")
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "places in line are true, and never get worse" in result.reason


def test_fans_who_are_refused_seats_that_nobody_else_asked_for() -> None:
    builder = RunBuilder()
    held = {seat for row in operations(builder, "hold") for seat in json.loads(str(row["value"]))["seats"]}
    free = next(str(row["seat"]) for row in builder.tables["final_seats"] if row["seat"] not in held)
    builder.operation(3, "hold", "", {"seats": [free]}, 40.0, 40.1, "fail", "conflict")
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert f"fan-0003 was refused {free}, which nobody had asked for by then" in result.reason


def test_a_line_that_is_told_no_places() -> None:
    builder = RunBuilder()
    builder.tables["events"] = [event for event in builder.tables["events"] if event["event"] != "position"]
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "fans waited for more than 10 s and were told one place" in result.reason


def test_places_of_one_fan_that_are_told_in_two_epochs_in_turn() -> None:
    """So that a step back is always a step into the other epoch; half of the fans are told so."""
    builder = RunBuilder(faulty=False)
    told = [event for event in builder.tables["events"] if event["event"] == "position"]
    for number, event in enumerate(sorted(told, key=lambda event: float(str(event["t_s"])))):
        event["epoch"] = f"{EPOCH}-{number % 2}"
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "side by side, though nothing was lost" in result.reason


def test_admissions_that_are_numbered_in_an_epoch_of_each_fan() -> None:
    builder = RunBuilder()
    for enter in operations(builder, "enter"):
        change(enter, epoch=f"epoch-of-{enter['actor']}", admission_no=1)
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    undecided = {one.name for one in result.invariants if one.status is Status.UNKNOWN}
    assert undecided == {"queue_order", "place_kept", "admission_rate"}


@pytest.mark.parametrize("fresh", [0, 3])
def test_maps_that_are_marked_stale_though_nothing_is_broken(fresh: int) -> None:
    builder = RunBuilder(faulty=False)
    looks = operations(builder, "look")
    for look in looks[: len(looks) - fresh]:
        change(look, stale=True)
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert f"{len(looks) - fresh} of {len(looks)} seat maps were marked stale though no fault" in result.reason


def test_maps_may_be_marked_stale_while_a_fault_is_in_force() -> None:
    builder = RunBuilder()
    for look in operations(builder, "look"):
        if 6.0 <= float(str(look["t_invoke_s"])) <= 14.0:  # redis-down, and the time to recover
            change(look, stale=True)
    assert verdict(builder).verdict is Decision.READY


def test_prices_that_are_hidden_from_all_fans() -> None:
    builder = RunBuilder()
    for pay in operations(builder, "pay"):
        change(pay, shown_cents=None)
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "no fan was shown a price" in result.reason


@pytest.mark.parametrize("asked", [["103-Z-1"], ["101-A-1", "101-A-2", "101-A-3", "101-A-4", "101-A-5"], []])
def test_a_grant_of_other_seats_than_were_asked_for(asked: list[str]) -> None:
    builder = RunBuilder()
    change(operations(builder, "hold")[3], asked=asked)
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert "a hold is granted as it was asked for" in result.reason


def test_a_platform_that_keeps_the_short_holds_that_it_promises_breaks_the_rules_of_the_sale() -> None:
    builder = RunBuilder()
    change(operations(builder, "hold")[0], ttl_s=2.0)
    result = verdict(builder)
    assert result.verdict is Decision.NOT_READY
    assert "for 2 s, where the on-sale declares 8 s" in result.reason
    assert next(one for one in result.invariants if one.name == "no_early_expiry").status is Status.HELD


def test_a_feed_that_says_nothing() -> None:
    builder = RunBuilder()
    events = builder.tables["events"]
    events[:] = [row for row in events if (row["stream"], row["event"]) != ("feed", "seat")]
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "no follower heard of" in result.reason


def test_followers_who_hear_nothing_more_while_others_do() -> None:
    builder = RunBuilder(faulty=False)
    events = builder.tables["events"]
    fed = [row for row in events if (row["stream"], row["event"]) == ("feed", "seat")]
    events[:] = [row for row in events if row not in fed[len(fed) // 12 : len(fed) // 6]]
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "1 followers heard nothing more, as spectator-0060" in result.reason


def test_a_probe_that_has_looked_at_the_feed_and_left_was_not_left_behind() -> None:
    builder = RunBuilder(faulty=False)
    events = builder.tables["events"]
    first = next(row for row in events if (row["stream"], row["event"]) == ("feed", "snapshot"))
    seen = [row for row in events if row["actor"] == first["actor"] and row["seq"] == first["seq"]]
    events += [row | {"actor": "probe-1-new", "kind": "probe", "user": -3} for row in seen]
    assert verdict(builder).verdict is Decision.READY


def test_no_fault_excuses_that_operations_are_missing() -> None:
    builder = RunBuilder()
    first, *rest = builder.fault_results()
    excusing = msgspec.structs.replace(first, makes_undecidable=dict.fromkeys(INVARIANTS, "it takes everything away"))
    builder.tables["operations"] = [row for row in builder.tables["operations"] if int(str(row["op"])) % 7]
    result = verdict(builder, (excusing, *rest))
    assert result.verdict is Decision.NO_VERDICT
    assert result.reason.endswith("operations are missing from the record.")


def test_the_last_operations_are_missed_where_requests_served_them() -> None:
    builder = RunBuilder()
    builder.tables["requests"][-1]["op"] = len(builder.tables["operations"]) + 2
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert result.reason == "3 operations are missing from the record."


def test_no_fault_excuses_an_export_that_could_not_be_read() -> None:
    builder = RunBuilder()
    excuses = dict.fromkeys(INVARIANTS, "it takes everything away")
    first, *rest = builder.fault_results()
    record = builder.record(absent=("final_orders",))
    faults = (msgspec.structs.replace(first, makes_undecidable=excuses), *rest)
    result = grade(record, measure(record), audit(record), faults)
    assert result.verdict is Decision.NO_VERDICT
    assert any("the order export could not be read" in reason.text for reason in result.reasons)


def test_many_spectators_do_not_excuse_that_journeys_of_fans_crash() -> None:
    builder = RunBuilder()
    crash = CrashSummary(where="shop.py:41", what="KeyError: 'x'", kind="fan", step="venue", count=10)
    builder.changed(load=msgspec.structs.replace(builder.run.load, crashes=(crash,), users_released=20_060))
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert result.reason == "10 of 60 fan journeys crashed: KeyError: 'x', at shop.py:41."


@pytest.mark.parametrize("column", ["t_invoke_s", "t_complete_s"])
@pytest.mark.parametrize("instant", [math.nan, math.inf, -math.inf])
def test_an_instant_is_a_number(column: str, instant: float) -> None:
    builder = RunBuilder()
    operations(builder, "hold")[3][column] = instant
    with pytest.raises(InputError, match=f"{column}: expected an instant in s"):
        verdict(builder)


@pytest.mark.parametrize("state", [1, 2], ids=["held", "sold"])
def test_a_change_that_is_dropped_from_the_feed_before_it_has_a_number(state: int) -> None:
    """Of a seat that changes again later, so that the sum of changes is right at the end."""
    builder = RunBuilder(faulty=False)
    events = builder.tables["events"]
    fed = [row for row in events if (row["stream"], row["event"]) == ("feed", "seat")]
    seats = [row["key"] for row in fed if row["actor"] == fed[0]["actor"]]
    last = {row["key"]: int(str(row["seq"])) for row in fed}
    told = {int(str(row["seq"])) for row in fed if row["value"] == state and seats.count(row["key"]) > 2}
    dropped = min(told if state == 2 else told - set(last.values()))
    events[:] = [row for row in events if not (row["event"] == "seat" and row["seq"] == dropped)]
    for row in events:
        if row["stream"] == "feed" and row["seq"] is not None and int(str(row["seq"])) > dropped:
            row["seq"] = int(str(row["seq"])) - 1
    builder._forget_resting_seq()
    result = verdict(builder)
    assert result.verdict is Decision.NO_VERDICT
    assert "no follower heard of 1 seats that changed hands" in result.reason
