"""no_late_expiry, case by case and against its definition."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import Anomaly, FaultRun
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, with_uncertain_clocks

TTL_S = 8.0
BOUND_S = 1.0
SEAT = "101-A-1"
OTHER = "101-A-2"


def late(builder: RunBuilder) -> InvariantResult:
    return judged("no_late_expiry", builder)


def sale() -> RunBuilder:
    builder = empty()
    builder.seats = [SEAT, OTHER]
    return builder


def held(builder: RunBuilder, fan: int = 1, t_s: float = 1.0, seats: tuple[str, ...] = (SEAT,)) -> str:
    """Acked 0.1 s later, so its time is over at `t_s` + 8.1 s."""
    builder.operation(fan, "hold", f"h-{fan}", {"seats": list(seats), "ttl_s": TTL_S}, t_s, t_s + 0.1)
    return f"h-{fan}"


def refused(builder: RunBuilder, t_s: float, seats: tuple[str, ...] = (SEAT,), fan: int = 5) -> None:
    builder.operation(fan, "hold", "", {"seats": list(seats)}, t_s, t_s + 0.01, "fail", "conflict")


def changed(
    builder: RunBuilder, seq: int, t_s: float, state: int, *, ahead_s: float = 0.0, delay_s: float = 0.0
) -> None:
    """A change of the seat at `t_s`, stamped by a clock that is `ahead_s` ahead, seen after 2 ms and a delay."""
    seen_s = t_s + 0.002 + delay_s
    builder.event(3, "feed", "seat", seen_s, "e1", seq, state, SEAT, t_sent_s=t_s + ahead_s)


def fault(builder: RunBuilder, component: str, start_s: float, healed_s: float | None) -> None:
    run = FaultRun(
        experiment="broken", component=component, kind="refuse", injector="proxy", hypothesis="", runbook="",
        t_requested_s=start_s, t_effective_s=start_s, t_heal_requested_s=healed_s, t_healed_s=healed_s, proven=True,
    )  # fmt: skip
    builder.faults = msgspec.structs.replace(builder.faults, faults=(run,))


@pytest.mark.parametrize(("t_s", "status"), [(10.05, Status.HELD), (10.6, Status.VIOLATED), (13.1, Status.VIOLATED)])
def test_a_fan_who_is_refused_a_seat_whose_only_hold_is_over(t_s: float, status: Status) -> None:
    builder = sale()
    held(builder)
    refused(builder, t_s)
    refused(builder, 40.0, (OTHER,))
    refused(builder, 40.0, ("101-A-9",))
    builder.operation(6, "hold", "h-6", {"seats": [SEAT], "ttl_s": TTL_S}, 30.0, 30.1)
    assert late(builder).status is status


def test_the_history_shows_the_hold_and_who_saw_it_late() -> None:
    builder = sale()
    held(builder)
    refused(builder, 10.6)
    violation = late(builder).violations[0]
    assert violation.summary == f"seat {SEAT} was still held 1.5 s after fan-0001's hold was over"
    assert [step.text for step in violation.history] == [
        f"fan-0001 was granted {SEAT} for 8 s, told at 1.100 s",
        f"fan-0005 asked for {SEAT} at 10.600 s and was refused",
    ]


def test_a_map_that_shows_it_held() -> None:
    builder = sale()
    held(builder)
    noted: set[str] = set()
    builder.look(5, 11.0, "10", noted)  # it may be a second old
    assert late(builder).status is not Status.VIOLATED
    builder.look(5, 11.2, "10", noted, stale=True)
    assert late(builder).status is not Status.VIOLATED
    builder.look(5, 11.2, "10", noted)
    assert late(builder).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("t_s", "resting", "status"),
    [
        (11.0, "free", Status.HELD),  # the map may be a second old
        (11.2, "free", Status.VIOLATED),
        (11.2, "sold", Status.HELD),  # to somebody of whom the record tells nothing, perhaps
    ],
)
def test_a_map_that_shows_it_sold_though_nobody_ever_bought_it(t_s: float, resting: str, status: Status) -> None:
    builder = sale()
    held(builder)
    held(builder, 2, 1.0, (OTHER,))
    refused(builder, 40.0, (OTHER, SEAT))
    builder.operation(6, "hold", "h-6", {"seats": [OTHER, SEAT], "ttl_s": TTL_S}, 30.0, 38.0)
    builder.tables["final_seats"] += [{"seat": SEAT, "state": resting}, {"seat": OTHER, "state": "free"}]
    builder.look(5, t_s, "20", set())
    result = late(builder)
    assert result.status is status
    assert [one.history[-1].text for one in result.violations] == [
        f"fan-0005 asked for the seat map at {t_s:.3f} s: {SEAT} is sold"
    ] * (status is Status.VIOLATED)


@pytest.mark.parametrize("ahead_s", [0.0, 5.0, -3600.0])
@pytest.mark.parametrize(("late_s", "status"), [(0.3, Status.HELD), (1.5, Status.VIOLATED), (4.0, Status.VIOLATED)])
def test_the_feed_tells_by_the_platforms_own_clock_when_a_seat_came_back(
    ahead_s: float, late_s: float, status: Status
) -> None:
    builder = sale()
    held(builder)
    changed(builder, 1, 1.05, 1, ahead_s=ahead_s)
    changed(builder, 2, 9.05 + late_s, 0, ahead_s=ahead_s, delay_s=6.0)  # told late: that is no fault of the hold
    assert (late(builder).status, late(builder).chances) == (status, 1)


def test_a_change_that_frees_a_seat_which_was_free_already_shows_nothing() -> None:
    builder = sale()
    held(builder)
    changed(builder, 1, 1.05, 1)
    changed(builder, 2, 9.2, 0)
    changed(builder, 3, 20.0, 0)
    assert late(builder).status is Status.HELD


def test_a_refusal_that_another_seat_explains_shows_nothing() -> None:
    builder = sale()
    held(builder)
    held(builder, 2, 5.0, (OTHER,))
    refused(builder, 12.0, (SEAT, OTHER))
    assert late(builder).status is not Status.VIOLATED
    refused(builder, 20.0, (SEAT, OTHER))
    assert late(builder).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("outcome", "error", "status"),
    [
        ("ok", "", Status.NOT_EXERCISED),
        ("unknown", "timeout", Status.NOT_EXERCISED),
        ("fail", "status", Status.NOT_EXERCISED),
        ("fail", "declined", Status.VIOLATED),
        ("fail", "expired", Status.VIOLATED),
    ],
)
def test_a_hold_may_be_kept_for_a_payment_until_it_is_known_to_have_failed(
    outcome: str, error: str, status: Status
) -> None:
    builder = sale()
    value = {"hold_id": held(builder), "seats": [SEAT], "state": "pending"}
    builder.operation(1, "pay", "k", value, 4.0, None if outcome == "unknown" else 4.1, outcome, error)
    refused(builder, 30.0)
    assert late(builder).status is status


@pytest.mark.parametrize(("outcome", "error"), [("unknown", "timeout"), ("fail", "status")])
def test_somebody_whose_hold_may_have_been_granted_may_have_the_seat(outcome: str, error: str) -> None:
    builder = sale()
    held(builder)
    complete_s = None if outcome == "unknown" else 9.5
    builder.operation(2, "hold", "", {"seats": [SEAT]}, 9.4, complete_s, outcome, error)
    refused(builder, 12.0)
    assert late(builder).status is not Status.VIOLATED


def test_an_exported_order_that_nobody_is_known_to_have_paid_may_have_the_seat() -> None:
    builder = sale()
    held(builder)
    refused(builder, 12.0)
    exported(builder, 7, SEAT, "o-7", "pending")
    assert late(builder).status is not Status.VIOLATED


@pytest.mark.parametrize(
    ("component", "window_s", "status"),
    [
        ("redis", (8.0, 10.0), Status.NOT_EXERCISED),  # due while it was in force: healed, recovered, and the bound
        ("redis", (9.8, 11.0), Status.NOT_EXERCISED),  # it began within the bound
        ("zone-2", (8.0, None), Status.NOT_EXERCISED),  # never healed
        ("redis", (1.0, 3.0), Status.VIOLATED),  # long over
        ("payments", (8.0, 20.0), Status.VIOLATED),  # keeps nobody from ending holds
        ("postgres", (8.0, 20.0), Status.VIOLATED),
        ("feed", (8.0, 20.0), Status.VIOLATED),
    ],
)
def test_what_a_fault_excuses(component: str, window_s: tuple[float, float | None], status: Status) -> None:
    builder = sale()
    held(builder)
    refused(builder, 14.0)
    fault(builder, component, *window_s)
    assert late(builder).status is status


def test_after_a_fault_has_healed_the_platform_has_time_to_recover_and_no_more() -> None:
    builder = sale()
    held(builder)
    fault(builder, "redis", 8.0, 10.0)
    refused(builder, 15.9)
    assert late(builder).status is not Status.VIOLATED
    refused(builder, 16.1)
    assert late(builder).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("rows", "seen_s", "status"),
    [
        ([[(9.0, 6.0), (10.0, 6.0), (11.0, 6.0)]], 10.6, Status.VIOLATED),
        ([[(9.0, 6.0), (10.0, 6.0), (11.7, 1700.0)]], 11.7, Status.NOT_EXERCISED),  # it was due, and all stood still
        ([[(9.0, 6.0), (10.0, 6.0), (11.7, 1700.0)]], 11.9, Status.VIOLATED),  # for 1.7 s, and no more
        ([[(9.0, 6.0), (12.0, 6.0)]], 12.0, Status.NOT_EXERCISED),  # a row is missing
        ([[(9.0, 6.0), (12.0, 6.0)]], 12.2, Status.VIOLATED),
        ([[(4.0, 1700.0), (9.0, 6.0), (10.0, 6.0)]], 10.6, Status.VIOLATED),  # long before
        ([[(t_s, 500.0) for t_s in (9.0, 11.0, 13.0, 15.0, 17.0)]], 18.7, Status.VIOLATED),  # short ones add no more
        ([[(10.0, 6.0), (11.7, 1700.0)], [(10.0, 6.0), (11.0, 6.0)]], 10.6, Status.VIOLATED),  # another worker ran
        ([[(10.0, 6.0), (11.7, 1700.0)], [(10.0, 6.0), (11.9, 1700.0)]], 11.7, Status.NOT_EXERCISED),
    ],
)
def test_time_in_which_the_machine_stood_still_does_not_count(
    rows: list[list[tuple[float, float]]], seen_s: float, status: Status
) -> None:
    builder = sale()
    sample = {"loop_lag_ms_p99": 3.0, "users": 1, "samples": 1}
    builder.tables["generator"] = [
        {**sample, "worker": worker, "t_s": t_s, "loop_lag_ms_max": lag_ms}
        for worker, of_worker in enumerate(rows)
        for t_s, lag_ms in [*((float(second), 6.0) for second in range(int(of_worker[0][0]))), *of_worker]
    ]
    held(builder)
    refused(builder, seen_s)
    assert late(builder).status is status


def test_what_the_operator_does_after_the_run_is_no_evidence() -> None:
    builder = sale()
    held(builder)
    changed(builder, 1, 58.0, 1)
    changed(builder, 2, 58.1, 0)
    assert late(builder).status is not Status.VIOLATED


def test_where_a_part_died_nothing_is_called_late() -> None:
    builder = sale()
    held(builder)
    refused(builder, 14.0)
    death = Anomaly(t_s=5.0, source="worker", text="worker died with signal 9", is_death=True)
    assert late(builder.changed(anomalies=(death,))).status is Status.UNKNOWN


def test_clocks_of_two_workers_may_differ() -> None:
    builder = sale()
    held(builder)
    refused(builder, 10.15)
    assert late(builder).status is Status.VIOLATED
    assert late(with_uncertain_clocks(builder, 40.0)).status is not Status.VIOLATED


def test_the_rules_of_a_platform_of_the_users_own_are_not_known() -> None:
    builder = sale().changed(stack="http://127.0.0.1:1")
    held(builder)
    assert late(builder).status is Status.NOT_OBSERVABLE


def test_a_hold_that_nobody_looks_at_afterwards_is_no_chance() -> None:
    builder = sale()
    held(builder)
    builder.look(5, 9.0, "10", set())
    assert (late(builder).status, late(builder).chances) == (Status.NOT_EXERCISED, 0)
    builder.look(5, 12.0, "00", set())
    assert (late(builder).status, late(builder).chances) == (Status.HELD, 1)


def test_a_hold_that_was_paid_or_that_outlives_the_run_is_no_chance() -> None:
    builder = sale()
    value = {"hold_id": held(builder), "seats": [SEAT], "state": "confirmed"}
    builder.operation(1, "pay", "k", value, 4.0, 4.1)
    held(builder, 2, 47.0, (OTHER,))
    builder.look(5, 54.0, "21", set())
    assert (late(builder).status, late(builder).chances) == (Status.NOT_EXERCISED, 0)


holds = st.lists(st.tuples(st.sampled_from([SEAT, OTHER]), st.floats(0, 30), st.floats(0.01, 3.0)), max_size=8)
asks = st.lists(st.tuples(st.sets(st.sampled_from([SEAT, OTHER]), min_size=1), st.floats(0, 50)), max_size=8)


@settings(max_examples=200, deadline=None)
@given(holds=holds, asks=asks)
def test_refusals_against_the_definition(
    holds: list[tuple[str, float, float]], asks: list[tuple[set[str], float]]
) -> None:
    builder = sale()
    for fan, (seat, t_s, took_s) in enumerate(holds):
        value = {"seats": [seat], "ttl_s": TTL_S}
        builder.operation(fan, "hold", f"h-{fan}", value, t_s, t_s + took_s)
    wrong = False
    for seats, t_s in asks:
        refused(builder, t_s, tuple(sorted(seats)), fan=99)
        known = [hold for hold in holds if hold[0] in seats and hold[1] <= t_s + 0.01]
        wrong |= bool(known) and all(begun_s + took_s + TTL_S + BOUND_S < t_s for _, begun_s, took_s in known)
    assert (late(builder).status is Status.VIOLATED) is wrong


@pytest.mark.parametrize(
    ("t_s", "outcome", "status"),
    [
        (9.0, "fail", Status.NOT_EXERCISED),  # just in time: it may have been kept until the payment was refused
        (12.0, "fail", Status.VIOLATED),  # there was nothing left to keep
        (12.0, "unknown", Status.NOT_EXERCISED),
    ],
)
def test_a_payment_that_begins_after_the_hold_was_due_keeps_nothing_unless_it_may_have_been_taken_in(
    t_s: float, outcome: str, status: Status
) -> None:
    builder = sale()
    value = {"hold_id": held(builder), "seats": [SEAT]}
    end_s = None if outcome == "unknown" else 12.2
    builder.operation(1, "pay", "k", value, t_s, end_s, outcome, "timeout" if end_s is None else "expired")
    refused(builder, 12.3)
    assert late(builder).status is status


@pytest.mark.parametrize(
    ("t_s", "outcome", "status"),
    [(3.05, "ok", Status.HELD), (4.0, "ok", Status.VIOLATED), (4.0, "unknown", Status.HELD)],
)
def test_seats_that_were_given_back_come_back_at_once(t_s: float, outcome: str, status: Status) -> None:
    builder = sale()
    hold_id = held(builder)
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, 2.1, outcome)
    refused(builder, t_s)
    held(builder, 7, 20.0, (OTHER,))
    refused(builder, 40.0, (OTHER, SEAT))
    builder.operation(6, "hold", "h-6", {"seats": [SEAT], "ttl_s": TTL_S}, 39.0, 39.1)
    result = late(builder)
    assert result.status is status
    if status is Status.VIOLATED:
        assert result.violations[0].summary == f"seat {SEAT} was still held 1.9 s after fan-0001's hold was given back"
        assert [step.t_s for step in result.violations[0].history] == [1.1, 2.1, 4.01]


@pytest.mark.parametrize("begins_s", [2.5, 7.0], ids=["at once", "later"])
def test_a_fault_may_lose_what_was_given_back(begins_s: float) -> None:
    builder = sale()
    hold_id = held(builder)
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, 2.1)
    fault(builder, "redis", begins_s, begins_s + 1.0)
    refused(builder, 9.0)
    assert late(builder).status is not Status.VIOLATED


def test_what_is_given_back_after_a_payment_without_an_answer_may_be_kept() -> None:
    builder = sale()
    hold_id = held(builder)
    builder.operation(1, "pay", "k", {"hold_id": hold_id, "seats": [SEAT]}, 1.5, None, "unknown", "timeout")
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, 2.1)
    refused(builder, 9.0)
    assert late(builder).status is not Status.VIOLATED
