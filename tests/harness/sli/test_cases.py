"""Runs that once gave a wrong figure, each with the figure that is right."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sli import INDICATORS, measure
from harness.sli.measured import Measured, Observations
from harness.sli.measures.conflicts import asked
from tests.builders import RunBuilder
from tests.harness.audit.paper import at_rest, empty
from tests.paper_sale import EPOCH
from tests.paper_stock import StockSale


def measured(name: str, builder: RunBuilder) -> Measured:
    return INDICATORS[name].measure(Observations(builder.record()))


def lurk(builder: RunBuilder, user: int, t_s: float, step: str = "queue_page") -> None:
    builder.request(user, step, t_s, 0.01, actor=f"lurker-{user:06d}")["kind"] = "lurker"


# People of different kinds share numbers.


def test_lurkers_who_outnumber_the_fans_are_not_fans_who_never_saw_a_position() -> None:
    builder = empty()
    builder.fans = 60
    for user in range(120):
        lurk(builder, user, 0.001)
        lurk(builder, user, 8.0)
    for user in range(60):
        builder.request(user, "queue_page", 0.01, 0.01)
        builder.event(user, "positions", "position", 0.157, EPOCH, value=user)
    assert measured("time_to_first_position_p95_s", builder) == Measured(pytest.approx(0.147), 60)


def test_who_is_told_that_nothing_is_left_or_is_turned_away_is_not_waiting_for_a_position() -> None:
    builder = empty()
    builder.fans = 3
    for user in range(3):
        builder.request(user, "queue_page", 0.01, 0.01)
    builder.event(0, "positions", "position", 0.157, EPOCH, value=1)
    builder.event(1, "positions", "sold_out", 0.157, EPOCH)
    builder.operation(2, "join", "fan-0002", {}, 0.02, 0.03, "fail", "turned_away")
    assert measured("time_to_first_position_p95_s", builder) == Measured(pytest.approx(0.147), 2)


def test_a_lurker_who_joins_the_line_counts() -> None:
    builder = empty()
    builder.fans = 1
    builder.request(0, "queue_page", 0.0, 0.01)
    builder.event(0, "positions", "position", 0.5, EPOCH, value=0)
    lurk(builder, 0, 0.0)
    lurk(builder, 0, 1.0, "join")
    assert measured("time_to_first_position_p95_s", builder) == Measured(
        pytest.approx(55.0), 2, "1 of 2 fans never saw a position"
    )


def test_the_events_of_a_bot_are_not_those_of_the_fan_of_its_number() -> None:
    builder = empty()
    builder.fans = 1
    builder.request(0, "queue_page", 0.0, 0.01)
    builder.event(0, "positions", "position", 0.1, EPOCH, value=0).update(kind="bot", actor="bot-000000")
    assert measured("time_to_first_position_p95_s", builder).value == pytest.approx(55.0)


# A conflict is somebody faster, or a map that was wrong.


def conflict(builder: RunBuilder, fan: int, *, granted_at_s: float | None) -> None:
    """A fan asks for a map at 10 s and, at 11 s, for a seat that is refused; another gets it at `granted_at_s`."""
    seat = f"seat-{fan}"
    builder.operation(fan, "look", "", {"free": 9, "stale": False}, 10.0, 10.1)
    builder.operation(fan, "hold", "", {"seats": [seat]}, 11.0, 11.1, "fail", "conflict")
    if granted_at_s is not None:
        other = fan + 1000
        builder.operation(other, "hold", f"h-{other}", {"seats": [seat]}, granted_at_s - 0.1, granted_at_s)


def test_a_seat_granted_to_another_after_the_map_was_asked_for_is_contention_and_not_a_stale_map() -> None:
    builder = empty()
    for fan in range(286):
        conflict(builder, fan, granted_at_s=10.5 if fan < 207 else 9.0)
    holds = list(asked(Observations(builder.record())))
    assert sum(one.contended for one in holds) == 207
    assert sum(one.conflicted and not one.contended for one in holds) == 79
    assert measured("contention_ratio", builder) == Measured(207 / 286, 286)
    assert measured("stale_map_ratio", builder) == Measured(79 / 286, 286)


@given(granted_at_s=st.floats(1.0, 20.0), answered=st.booleans())
def test_what_decides_is_whether_the_grant_came_after_the_map_was_asked_for(
    granted_at_s: float, answered: bool
) -> None:
    builder = empty()
    conflict(builder, 1, granted_at_s=granted_at_s)
    if not answered:
        builder.tables["operations"][-1].update(outcome="unknown", error="timeout")
    contended = granted_at_s >= 10.0 and granted_at_s - 0.1 <= 11.1
    assert measured("contention_ratio", builder).value == float(contended)
    assert measured("stale_map_ratio", builder).value == float(not contended)


def test_a_fan_does_not_compete_with_themselves() -> None:
    builder = empty()
    conflict(builder, 1, granted_at_s=None)
    builder.operation(1, "hold", "", {"seats": ["seat-1"]}, 10.2, 10.9, "unknown", "timeout")
    assert measured("stale_map_ratio", builder) == Measured(None, 0)


# The platform's clock.


@pytest.mark.parametrize("ahead_s", [0.0, 5.0, 0.03])
def test_a_platform_whose_clock_is_ahead_is_not_fresher_than_now(ahead_s: float) -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    for number in range(1, 101):
        late_s = 0.0 if number == 1 else 0.02 if number < 99 else 0.5
        builder.event(1, "feed", "seat", 2.0 + number, EPOCH, number, 1, "a", t_sent_s=2.0 + number - late_s + ahead_s)
    found = measured("feed_freshness_p99_ms", builder)
    assert (found.value, found.samples) == (pytest.approx(500.0), 100)
    assert found.note == (
        f"the platform's clock is at least {ahead_s * 1000:,.0f} ms ahead of ours, which is taken off"
        if ahead_s
        else ""
    )


@given(offset_s=st.floats(-10, 10), late_ms=st.lists(st.floats(0, 900), min_size=1, max_size=20))
def test_freshness_is_never_negative(offset_s: float, late_ms: list[float]) -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    for number, late in enumerate(late_ms, start=1):
        t_s = 2.0 + number
        builder.event(1, "feed", "seat", t_s, EPOCH, number, 1, "a", t_sent_s=t_s - late / 1000 + offset_s)
    found = measured("feed_freshness_p99_ms", builder).value
    assert found is None or found >= 0.0


# What is absent because it failed is 0, or waited to the end.


def test_nobody_admitted_while_somebody_waits_is_0_per_second() -> None:
    builder = empty()
    for fan in range(60):
        builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, 0.1, 0.2)
    found = measured("queue_admission_rate_per_s", builder)
    assert found == Measured(0.0, 60, "60 fans waited and nobody was admitted")


def test_a_line_that_stops_is_not_as_fast_as_while_it_moved() -> None:
    """Ten of a hundred are admitted in the first second, then nobody: not nine per second."""
    builder = empty()
    for fan in range(100):
        builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, 0.1, 0.2)
    for fan in range(10):
        builder.operation(fan, "enter", "", {"admission_no": fan}, 1.0 + fan / 10, 1.0 + fan / 10)
    found = measured("queue_admission_rate_per_s", builder)
    assert found.value == pytest.approx(9 / 54.0)
    assert "90 fans were never admitted" in found.note


def test_who_is_told_in_the_line_that_nothing_is_left_waits_no_more_if_a_map_shows_it_too() -> None:
    builder = empty()
    for fan in range(100):
        builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, 0.1, 0.2)
    for fan in range(10):
        builder.operation(fan, "enter", "", {"admission_no": fan}, 1.0 + fan / 10, 1.0 + fan / 10)
    builder.event(50, "positions", "sold_out", 2.0)
    assert measured("queue_admission_rate_per_s", builder).value == pytest.approx(9 / 54.0)
    look(builder, 1, 2.2, 0)
    found = measured("queue_admission_rate_per_s", builder)
    assert found.value == pytest.approx(9 / 1.21)


def test_a_feed_that_tells_nobody_is_not_fresh() -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    for fan in range(20):
        builder.operation(fan, "hold", f"h-{fan}", {"seats": [f"s-{fan}"], "ttl_s": 8.0}, 5.0, 5.1)
    found = measured("feed_freshness_p99_ms", builder)
    assert (found.value, found.samples) == (pytest.approx(49_900.0), 20)
    assert found.note == "of 20 holds no follower was told"


def test_a_feed_that_falls_silent_is_not_as_fresh_as_before() -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    for fan in range(40):
        t_s = 5.0 + fan
        builder.operation(fan, "hold", f"h-{fan}", {"seats": [f"s-{fan}"], "ttl_s": 8.0}, t_s, t_s + 0.1)
        if fan < 20:
            builder.event(1, "feed", "seat", t_s + 0.15, EPOCH, fan + 1, 1, f"s-{fan}", t_sent_s=t_s + 0.1)
    assert measured("feed_freshness_p99_ms", builder).value == pytest.approx(29_900.0)


def test_a_feed_of_other_things_than_seats_is_not_blamed() -> None:
    builder = empty()
    builder.event(1, "feed", "connect", 1.0)
    builder.event(1, "feed", "seat", 5.05, EPOCH, 1, 1, "section 101", t_sent_s=5.0)
    builder.operation(1, "hold", "h-1", {"seats": ["101-A-1"], "ttl_s": 8.0}, 6.0, 6.1)
    assert measured("feed_freshness_p99_ms", builder) == Measured(pytest.approx(50.0), 1)


# A scarce sale.


def come(builder: RunBuilder, fan: int, *, admitted: bool = True) -> float:
    t_s = 0.1 + fan / 100
    builder.operation(fan, "join", f"fan-{fan:04d}", {"position": fan, "epoch": EPOCH}, t_s, t_s + 0.01)
    if admitted:
        builder.operation(fan, "enter", "", {"admission_no": fan}, t_s + 1, t_s + 1.01)
    return t_s + 1.1


def look(builder: RunBuilder, fan: int, t_s: float, free: int) -> None:
    builder.operation(fan, "look", "", {"free": free, "stale": False}, t_s, t_s + 0.01)


def buy(builder: RunBuilder, fan: int, t_s: float, *, state: str = "confirmed", outcome: str = "ok") -> None:
    seats = [f"seat-{fan}"]
    builder.operation(fan, "hold", f"h-{fan}", {"seats": seats, "ttl_s": 8.0}, t_s + 0.1, t_s + 0.2)
    value = {"hold_id": f"h-{fan}", "seats": seats, "state": state, "declined_on_purpose": False}
    builder.operation(fan, "pay", f"k-{fan}", value, t_s + 0.3, t_s + 0.4, outcome)


def test_a_thousand_fans_and_four_hundred_seats() -> None:
    """185 parties take all 400 seats; the other 815 fans went empty-handed, and no seat was left for them."""
    builder = empty()
    for fan in range(1000):
        t_s = come(builder, fan)
        look(builder, fan, t_s, 400 if fan < 185 else 0)
        if fan < 185:
            buy(builder, fan, t_s)
    builder.tables["final_seats"] += [{"seat": f"s-{number}", "state": "sold"} for number in range(400)]
    assert measured("checkout_completion_ratio", builder) == Measured(1.0, 185)
    assert measured("empty_handed_ratio", builder) == Measured(0.815, 1000)


def test_fans_let_in_who_bought_nothing_though_seats_were_left_belong_to_the_denominator() -> None:
    builder = empty()
    for fan in range(10):
        t_s = come(builder, fan)
        look(builder, fan, t_s, 100)
        if fan < 6:
            buy(builder, fan, t_s)
        elif fan < 8:  # asked, and were refused again and again
            builder.operation(fan, "hold", "", {"seats": ["x"]}, t_s + 0.1, t_s + 0.2, "fail", "status")
        else:  # held, and could not pay
            buy(builder, fan, t_s, outcome="fail")
    builder.tables["final_seats"].append({"seat": "s", "state": "free"})
    assert measured("checkout_completion_ratio", builder) == Measured(0.6, 10)
    assert measured("empty_handed_ratio", builder) == Measured(0.4, 10)


def test_who_had_a_seat_and_could_not_pay_for_it_counts_though_the_hall_is_sold_out() -> None:
    builder = empty()
    buy(builder, 1, come(builder, 1))
    buy(builder, 2, come(builder, 2), outcome="fail")
    come(builder, 3)
    builder.tables["final_seats"].append({"seat": "s", "state": "sold"})
    assert measured("checkout_completion_ratio", builder) == Measured(0.5, 2)


def test_who_changes_their_mind_or_brings_a_bad_card_did_not_want_to_buy() -> None:
    builder = empty()
    buy(builder, 1, come(builder, 1))
    come(builder, 2)
    builder.operation(2, "hold", "h-2", {"seats": ["b"], "ttl_s": 8.0}, 2.0, 2.1)
    t_s = come(builder, 3)
    builder.operation(3, "pay", "k", {"declined_on_purpose": True}, t_s, t_s + 0.1, "fail", "declined")
    assert measured("checkout_completion_ratio", builder) == Measured(1.0, 1)
    assert measured("empty_handed_ratio", builder) == Measured(0.0, 1)


def test_who_is_never_let_in_is_empty_handed_but_had_no_checkout() -> None:
    builder = empty()
    buy(builder, 1, come(builder, 1))
    come(builder, 2, admitted=False)
    assert measured("checkout_completion_ratio", builder) == Measured(1.0, 1)
    assert measured("empty_handed_ratio", builder) == Measured(0.5, 2)


def test_a_fan_let_in_too_late_to_finish_is_not_held_against_the_platform() -> None:
    builder = empty()
    for fan in range(20):
        buy(builder, fan, come(builder, fan))
    builder.operation(20, "join", "fan-0020", {"position": 1, "epoch": EPOCH}, 0.2, 0.3)
    builder.operation(20, "enter", "", {"admission_no": 21}, 54.8, 54.9)
    told = "left out: 1 fan who began after T+54.5 s, too late to have a ticket by the end of the run"
    assert measured("checkout_completion_ratio", builder) == Measured(1.0, 20, f"{told}; a longer run counts them")


def test_a_platform_that_sells_nothing_completes_nothing() -> None:
    builder = empty()
    for fan in range(5):
        look(builder, fan, come(builder, fan), 100)
        builder.operation(fan, "hold", "", {"seats": ["x"]}, 3.0, 3.1, "fail", "status")
    assert measured("checkout_completion_ratio", builder) == Measured(0.0, 5)


def test_a_map_that_says_sold_out_falsely_takes_nobody_out_of_the_denominator() -> None:
    builder = empty()
    at_rest(builder, capacity=2)
    builder.event(9, "feed", "seat", 1.0, EPOCH, 1, 2, "seat-1", t_sent_s=0.9)
    buy(builder, 1, come(builder, 1))
    look(builder, 2, come(builder, 2) + 3.0, 0)
    builder.tables["final_seats"] += [{"seat": "seat-1", "state": "sold"}, {"seat": "seat-2", "state": "free"}]
    assert measured("checkout_completion_ratio", builder) == Measured(0.5, 2)


def test_bots_and_lurkers_change_no_figure_of_the_fans() -> None:
    builder = RunBuilder()
    before = measure(builder.record())
    for user in range(200):
        lurk(builder, user, 0.4)
    for name in ("position", "admitted"):
        builder.event(0, "positions", name, 0.0, EPOCH, value=1).update(kind="bot", actor="bot-000000")
    after = measure(builder.record())
    changed = [one.name for one, other in zip(before, after, strict=True) if one != other]
    assert set(changed) <= {"queue_page_response_p99_ms", "error_ratio"}


# A number of tickets left that never falls.


def test_a_number_of_tickets_that_never_falls_is_stale_once_it_is_too_old() -> None:
    sale = StockSale()
    assert measured("stale_stock_ratio", sale).value == 0.0
    looks = [row for row in sale.tables["operations"] if row["function"] == "stock"]
    for look in looks:
        value = json.loads(str(look["value"]))
        look["value"] = json.dumps({**value, "pools": sale.stock})
    stale = measured("stale_stock_ratio", sale)
    assert stale.value == 1.0
    assert 0 < stale.samples < len(looks)  # the first five seconds may show what was there before
    for look in looks:
        look["value"] = json.dumps({**json.loads(str(look["value"])), "stale": True})
    assert measured("stale_stock_ratio", sale) == Measured(None, 0)
