"""no_early_expiry against its definition, pair by pair, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import OTHERS_HOLD
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, with_uncertain_clocks

TTL_S = 8.0
SEAT = "101-A-1"


def expiry(builder: RunBuilder) -> InvariantResult:
    return judged("no_early_expiry", builder)


def granted(builder: RunBuilder, fan: int, t_s: float, *, took_s: float = 0.1, seats: tuple[str, ...] = (SEAT,)) -> str:
    hold_id = f"h-{len(builder.tables['operations'])}"
    value = {"seats": list(seats), "ttl_s": TTL_S}
    builder.operation(fan, "hold", hold_id, value, t_s, t_s + took_s)
    return hold_id


def paid(builder: RunBuilder, fan: int, hold_id: str, t_s: float, outcome: str, **more: str) -> None:
    value = {"hold_id": hold_id, "seats": [SEAT], "order_id": f"o-{fan}", "state": more.get("state", "")}
    complete_s = None if outcome == "unknown" else t_s + 0.1
    builder.operation(fan, "pay", f"k-o-{fan}", value, t_s, complete_s, outcome, more.get("error", ""))


# One seat's holds: (fan, invoked, took, released after that many s or never).
held = st.tuples(
    st.integers(0, 3),
    st.floats(0, 40, allow_nan=False),
    st.floats(0.01, 12, allow_nan=False),
    st.none() | st.floats(0, 10, allow_nan=False),
)


@settings(max_examples=200, deadline=None)
@given(holds=st.lists(held, max_size=12))
def test_it_counts_each_grant_that_contradicts_an_earlier_one(
    holds: list[tuple[int, float, float, float | None]],
) -> None:
    builder = empty()
    spans: list[tuple[float, float, int]] = []  # acked, until, fan
    for fan, invoke_s, took_s, after_s in holds:
        hold_id = granted(builder, fan, invoke_s, took_s=took_s)
        ack_s, until_s = invoke_s + took_s, invoke_s + TTL_S
        if after_s is not None:
            builder.operation(fan, "release", hold_id, {"seats": [SEAT]}, ack_s + after_s, ack_s + after_s + 0.1)
            until_s = min(until_s, ack_s + after_s)
        if until_s > ack_s:
            spans.append((ack_s, until_s, fan))
    spans.sort(key=lambda span: span[0])
    wrong = [
        b
        for at, b in enumerate(spans)
        if any(a[2] != b[2] and b[0] < a[1] and a[0] < b[1] for a in spans[:at])
    ]  # fmt: skip
    result = expiry(builder)
    assert result.violations_total == len(wrong)
    quiet = Status.HELD if result.chances else Status.NOT_EXERCISED if holds else Status.UNKNOWN
    assert result.status is (Status.VIOLATED if wrong else quiet)


@settings(max_examples=60, deadline=None)
@given(gaps=st.lists(st.floats(0, 5, allow_nan=False), min_size=1, max_size=10), took_s=st.floats(0.01, 3))
def test_holds_that_run_out_one_after_the_other_are_never_flagged(gaps: list[float], took_s: float) -> None:
    builder, t_s = empty(), 0.0
    for fan, gap_s in enumerate(gaps):
        granted(builder, fan, t_s, took_s=took_s)
        t_s += took_s + TTL_S + gap_s
    assert expiry(builder).status is Status.HELD


def test_the_history_shows_both_holds_and_by_how_much() -> None:
    builder = empty()
    granted(builder, 1, 1.0)
    granted(builder, 2, 5.0)
    violation = expiry(builder).violations[0]
    assert violation.summary == f"seat {SEAT} was granted to fan-0002 3.9 s before fan-0001's hold was over"
    assert [step.text for step in violation.history] == [
        f"fan-0001 was granted {SEAT} for 8 s, asked at 1.000 s",
        f"fan-0002 was granted {SEAT} for 8 s, asked at 5.000 s",
    ]


def test_of_a_shared_party_only_the_seat_in_common_counts() -> None:
    builder = empty()
    granted(builder, 1, 1.0, seats=("101-A-1", "101-A-2"))
    granted(builder, 2, 2.0, seats=("101-A-3",))
    assert expiry(builder).status is Status.HELD
    granted(builder, 3, 3.0, seats=("101-A-2", "101-A-4"))
    assert [violation.summary[:12] for violation in expiry(builder).violations] == ["seat 101-A-2"]


def test_a_fan_may_hold_the_same_seat_again() -> None:
    builder = empty()
    granted(builder, 1, 1.0)
    granted(builder, 1, 3.0)
    assert expiry(builder).status is Status.HELD


@pytest.mark.parametrize(
    ("outcome", "error", "state", "status"),
    [
        ("fail", "declined", "", Status.HELD),
        ("unknown", "timeout", "", Status.HELD),
        ("ok", "", "pending", Status.HELD),
        ("ok", "", "confirmed", Status.VIOLATED),
        ("fail", "status", "", Status.VIOLATED),
    ],
)
def test_a_payment_gives_seats_back_only_if_it_may_have_come_to_nothing(
    outcome: str, error: str, state: str, status: Status
) -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 1.0), 2.0, outcome, error=error, state=state)
    granted(builder, 2, 4.0)
    assert expiry(builder).status is status


@pytest.mark.parametrize(("state", "status"), [("confirmed", Status.VIOLATED), ("declined", Status.HELD)])
def test_what_became_of_a_pending_payment_is_in_the_export(state: str, status: Status) -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 1.0), 2.0, "ok", state="pending")
    exported(builder, 1, SEAT, "o-1", state)
    granted(builder, 2, 4.0)
    assert expiry(builder).status is status


@pytest.mark.parametrize(("t_s", "status"), [(5.0, Status.VIOLATED), (9.5, Status.HELD)])
@pytest.mark.parametrize("how", ["pay", "release"])
def test_a_fan_who_is_told_too_soon_that_it_is_over(how: str, t_s: float, status: Status) -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    if how == "pay":
        paid(builder, 1, hold_id, t_s, "fail", error="expired")
    else:
        builder.operation(1, "release", hold_id, {"seats": [SEAT]}, t_s, t_s + 0.1, "fail", "expired")
    assert expiry(builder).status is status


def test_a_payment_whose_order_is_over_says_nothing_of_the_hold() -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 1.0), 3.0, "fail", error="expired")
    exported(builder, 1, SEAT, "o-1", "refunded")
    assert expiry(builder).status is Status.NOT_EXERCISED


def test_a_repeat_after_an_unknown_release_may_find_nothing() -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, None, "unknown", "timeout")
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 3.0, 3.1, "fail", "expired")
    assert expiry(builder).status is Status.NOT_EXERCISED


def test_holds_without_a_time_to_live_promise_nothing() -> None:
    builder = empty()
    builder.operation(1, "hold", "h", {"seats": [SEAT]}, 1.0, 1.1)
    result = expiry(builder)
    assert (result.status, result.note) == (Status.UNKNOWN, "no hold with a time to live was granted")


def ack(builder: RunBuilder, fan: int, hold_id: str, t_s: float, told_s: float, *, state: str = "confirmed") -> None:
    """A payment that was answered so."""
    value = {"hold_id": hold_id, "seats": [SEAT], "order_id": f"o-{fan}", "amount_cents": 5000, "state": state}
    builder.operation(fan, "pay", f"k-o-{fan}", value, t_s, told_s)


@pytest.mark.parametrize("export", [True, False])
@pytest.mark.parametrize(("gives_up_s", "status"), [(None, Status.VIOLATED), (12.4, Status.NOT_EXERCISED)])
def test_a_sale_inside_the_promise_of_another(export: bool, gives_up_s: float | None, status: Status) -> None:
    builder = empty()
    first = granted(builder, 1, 1.0)
    second = granted(builder, 2, 9.5)
    ack(builder, 1, first, 8.9, 12.446)
    if export:
        exported(builder, 1, SEAT, "o-1")
    if gives_up_s:
        builder.operation(2, "release", second, {"seats": [SEAT]}, gives_up_s, gives_up_s + 0.1)
    result = expiry(builder)
    assert result.status is status
    if status is Status.VIOLATED:
        assert (
            result.violations[0].summary == f"seat {SEAT} was sold to fan-0001 5.05 s before fan-0002's hold was over"
        )


def test_a_sale_that_a_lookup_tells_breaks_a_promise_too() -> None:
    builder = empty()
    first = granted(builder, 1, 1.0)
    granted(builder, 2, 9.5)
    ack(builder, 1, first, 8.9, 9.0, state="pending")
    builder.operation(1, "order", "o-1", {"state": "confirmed", "seats": [SEAT]}, 11.0, 11.1)
    exported(builder, 1, SEAT, "o-1")
    assert expiry(builder).status is Status.VIOLATED


@pytest.mark.parametrize("state", ["refunded", "expired", "declined"])
def test_a_sale_that_was_taken_back_breaks_nothing(state: str) -> None:
    builder = empty()
    first = granted(builder, 1, 1.0)
    ack(builder, 1, first, 2.0, 2.1)
    exported(builder, 1, SEAT, "o-1", state)
    granted(builder, 2, 4.0)
    assert expiry(builder).status is not Status.VIOLATED


def test_the_holder_of_the_very_hold_that_was_sold_is_no_rival() -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    ack(builder, 2, hold_id, 2.0, 2.1)
    assert expiry(builder).status is not Status.VIOLATED


@pytest.mark.parametrize("state", ["expired", "declined", "refunded"])
def test_a_fan_who_was_told_in_time_that_the_order_came_to_nothing_has_given_the_seat_up(state: str) -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 0.414), 0.9, "fail", error="expired")
    exported(builder, 1, SEAT, "o-1", state)
    granted(builder, 2, 1.4)
    assert expiry(builder).status is not Status.VIOLATED


def test_a_fan_who_is_told_too_soon_that_the_hold_is_gone_is_told_of_once() -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 0.4), 0.9, "fail", error="expired")
    granted(builder, 2, 1.4)
    result = expiry(builder)
    assert [violation.summary for violation in result.violations] == [
        "fan-0001 was told that their hold is gone 7.4 s before it was over"
    ]


def test_a_payment_of_unknown_outcome_that_the_export_confirms_gave_nothing_up() -> None:
    builder = empty()
    paid(builder, 1, granted(builder, 1, 1.0), 2.0, "unknown", error="timeout")
    granted(builder, 2, 4.0)
    assert expiry(builder).status is not Status.VIOLATED
    exported(builder, 1, SEAT, "o-1")
    assert expiry(builder).status is Status.VIOLATED


def test_a_payment_that_was_repeated_and_confirmed_gave_nothing_up() -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    paid(builder, 1, hold_id, 2.0, "unknown", error="timeout")
    ack(builder, 1, hold_id, 3.0, 3.1)
    granted(builder, 2, 4.0)
    assert expiry(builder).status is Status.VIOLATED


def test_clocks_of_two_workers_may_differ_by_their_uncertainty() -> None:
    builder = empty()
    first = granted(builder, 1, 1.0)
    granted(builder, 2, 9.5)
    ack(builder, 1, first, 8.9, 17.45)  # 50 ms before the promise of the other is over
    assert expiry(builder).status is Status.VIOLATED
    assert expiry(with_uncertain_clocks(builder, 30.0)).status is not Status.VIOLATED


@pytest.mark.parametrize(
    ("how", "chances"), [("abandons", 1), ("pays", 0), ("releases", 0), ("pays after its end", 1), ("asks too late", 0)]
)
def test_only_holds_that_lived_to_their_end_are_chances(how: str, chances: int) -> None:
    builder = empty()
    hold_id = granted(builder, 1, 50.0 if how == "asks too late" else 1.0)
    if how.startswith("pays"):
        paid(builder, 1, hold_id, 2.0 if how == "pays" else 9.5, "fail", error="declined")
    if how == "releases":
        builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, 2.1)
    result = expiry(builder)
    assert result.chances == chances
    assert result.status is (Status.HELD if chances else Status.NOT_EXERCISED)


@pytest.mark.parametrize(("by", "at_s", "chances"), [(2, 12.0, 1), (2, 18.0, 0), (1, 12.0, 0)])
def test_a_payment_for_a_hold_that_is_over_is_a_chance_while_another_fan_has_the_seat(
    by: int, at_s: float, chances: int
) -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    granted(builder, by, 9.5)
    before = expiry(builder).chances
    paid(builder, 1, hold_id, at_s, "fail", error="expired")
    assert (expiry(builder).chances - before, expiry(builder).status) == (chances, Status.HELD)


def test_a_payment_for_a_hold_that_is_over_that_is_taken_in_breaks_the_next_fans_promise() -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    granted(builder, 2, 9.5)
    paid(builder, 1, hold_id, 12.0, "ok", state="confirmed")
    exported(builder, 1, SEAT, "o-1")
    result = expiry(builder)
    assert result.status is Status.VIOLATED
    assert "before fan-0002's hold was over" in result.violations[0].summary


@pytest.mark.parametrize(("t_s", "status"), [(4.0, Status.VIOLATED), (8.9, Status.HELD)])
def test_a_fan_who_pays_and_is_told_that_somebody_else_has_the_seats(t_s: float, status: Status) -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    paid(builder, 1, hold_id, t_s, "fail", error="conflict")
    granted(builder, 2, 20.0)
    assert expiry(builder).status is status


@pytest.mark.parametrize("error", ["expired", "conflict"])
def test_a_hold_that_was_paid_for_is_gone_for_a_second_payment(error: str) -> None:
    """Where the export shows no keys, so that nobody sees that both are of one order."""
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    paid(builder, 1, hold_id, 2.0, "ok", state="confirmed")
    exported(builder, 1, SEAT, "o-1")
    builder.tables["final_orders"][0]["idempotency_key"] = ""
    paid(builder, 1, hold_id, 2.5, "fail", error=error)
    assert expiry(builder).status is not Status.VIOLATED


@pytest.mark.parametrize(
    ("t_s", "outcome", "found", "chances"),
    [
        (2.0, "fail", 0, 1),
        (2.0, "unknown", 0, 0),
        (2.0, "ok", 1, 1),
        (6.0, "ok", 0, 0),  # the owner had given it back
    ],
)
@pytest.mark.parametrize("way", OTHERS_HOLD)
def test_nobody_else_may_end_a_hold(way: str, t_s: float, outcome: str, found: int, chances: int) -> None:
    builder = empty()
    hold_id = granted(builder, 1, 1.0)
    builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 5.0, 5.1)
    value = {"seats": [SEAT], "hold_id": hold_id}
    builder.operation(2, "probe", way, value, t_s, t_s + 0.1, outcome, "" if outcome == "ok" else "status")
    result = expiry(builder)
    assert (result.violations_total, result.chances) == (found, chances)
    assert [one.summary for one in result.violations] == [f"fan-0002 could end the hold of fan-0001 ({way})"][:found]
    assert judged("no_queue_bypass", builder).operations_checked == 1  # the hold: it is no way past the queue
