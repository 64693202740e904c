"""map_honest, case by case and against its definition."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged, with_uncertain_clocks
from tests.paper_sale import Row

SEATS = 8
BOUND_S = 1.0
TTL_S = 8.0


def honest(builder: RunBuilder) -> InvariantResult:
    return judged("map_honest", builder)


def sale() -> RunBuilder:
    builder = empty()
    builder.seats = [f"101-A-{number}" for number in range(1, SEATS + 1)]
    builder.noted = set()  # type: ignore[attr-defined]
    return builder


def looked(builder: RunBuilder, t_s: float, *taken: int, stale: bool = False, state: str = "1") -> None:
    states = "".join(state if number in taken else "0" for number in range(1, SEATS + 1))
    builder.look(9, t_s, states, builder.noted, stale=stale)  # type: ignore[attr-defined]


def held(builder: RunBuilder, fan: int, number: int, t_s: float) -> str:
    value = {"seats": [f"101-A-{number}"], "ttl_s": TTL_S}
    builder.operation(fan, "hold", f"h-{fan}", value, t_s, t_s + 0.1)
    return f"h-{fan}"


def test_a_held_seat_that_is_shown_free_later_than_the_bound() -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    looked(builder, 3.5)
    result = honest(builder)
    assert (result.status, result.chances) == (Status.VIOLATED, 1)
    assert result.violations[0].summary == "seat 101-A-3 was shown free to fan-0009, 1.4 s after it was held"
    assert [step.text for step in result.violations[0].history] == [
        "fan-0001 was granted 101-A-3 for 8 s, asked at 2.000 s",
        "fan-0009 asked for the seat map at 3.500 s: 101-A-3 is free",
    ]


def counted(builder: RunBuilder, t_s: float, free: int | None, *, stale: bool = False) -> None:
    """A fan is shown so many free seats of section 101; null: the counts of the time before."""
    value: Row = {"counts": str(free), "stale": stale} | ({} if free is None else {"free": {"101": free}})
    builder.operation(9, "count", "", value, t_s, t_s + 0.03)


def with_layout(builder: RunBuilder) -> RunBuilder:
    looked(builder, 0.5)
    builder.tables["final_seats"] += [{"seat": seat, "state": "free"} for seat in builder.seats]
    return builder


@pytest.mark.parametrize(
    ("t_s", "free", "problem"),
    [
        (4.5, SEATS - 1, ""),
        (4.05, SEATS, ""),  # within the bound, twice that of a map
        (4.5, SEATS, f"section 101 was shown to fan-0009 with {SEATS} free seats, and at most {SEATS - 1} were"),
        (
            4.5,
            SEATS - 2,
            f"section 101 was shown to fan-0009 with {SEATS - 2} free seats, and at least {SEATS - 1} were",
        ),
        (10.5, SEATS - 1, ""),  # the hold may be over, or not
        (10.5, SEATS, ""),
    ],
)
def test_counts_of_a_section_fit_what_fans_were_told(t_s: float, free: int, problem: str) -> None:
    builder = with_layout(sale())
    held(builder, 1, 3, 2.0)
    counted(builder, t_s, free)
    result = honest(builder)
    assert [one.summary for one in result.violations] == ([problem] if problem else [])
    assert result.status is (Status.VIOLATED if problem else Status.HELD if t_s == 4.5 else Status.NOT_EXERCISED)
    assert result.chances == (1 if t_s == 4.5 else 0)


def test_counts_that_say_that_they_are_stale_are_no_lie_and_no_chance() -> None:
    builder = with_layout(sale())
    held(builder, 1, 3, 2.0)
    counted(builder, 4.5, SEATS, stale=True)
    assert (honest(builder).status, honest(builder).chances) == (Status.NOT_EXERCISED, 0)


@pytest.mark.parametrize(
    ("t_s", "stale"), [(3.0, False), (9.99, False), (5.0, True)], ids=["within the bound", "over", "marked stale"]
)
def test_a_map_that_may_show_it_free(t_s: float, stale: bool) -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    looked(builder, t_s, stale=stale)
    result = honest(builder)
    assert result.status in (Status.NOT_EXERCISED, Status.UNKNOWN)
    assert result.chances == 0


def test_a_sold_seat_is_never_shown_free_again() -> None:
    builder = sale()
    value = {"hold_id": "h", "seats": ["101-A-3"], "order_id": "o", "state": "confirmed"}
    builder.operation(1, "pay", "k-o", value, 2.0, 2.1)
    exported(builder, 1, "101-A-3", "o")
    looked(builder, 40.0, 3, state="2")
    assert (honest(builder).status, honest(builder).chances) == (Status.HELD, 1)
    looked(builder, 41.0)
    assert honest(builder).violations[0].summary == (
        "seat 101-A-3 was shown free to fan-0009, 38.9 s after it was sold"
    )


def test_a_hold_that_its_fan_gave_back_or_paid_in_vain_is_sure_no_longer() -> None:
    builder = sale()
    hold_id = held(builder, 1, 3, 2.0)
    builder.operation(1, "release", hold_id, {"seats": ["101-A-3"]}, 2.5, None, "unknown", "timeout")
    looked(builder, 4.0)
    assert honest(builder).status is Status.NOT_EXERCISED


def test_each_taken_seat_is_told_of_once() -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    for t_s in (4.0, 5.0, 6.0):
        looked(builder, t_s)
    assert (honest(builder).violations_total, honest(builder).chances) == (1, 3)


def test_clocks_of_two_workers_may_differ() -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    looked(builder, 3.15)
    assert honest(builder).status is Status.VIOLATED
    assert honest(with_uncertain_clocks(builder, 40.0)).status is Status.NOT_EXERCISED


def test_without_looks_or_without_their_seats_nothing_is_known() -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    assert honest(builder).status is Status.UNKNOWN
    builder.operation(9, "look", "", {"free": 8, "stale": False}, 5.0, 5.1)
    assert honest(builder).status is Status.UNKNOWN


def test_the_rules_of_a_platform_of_the_users_own_are_not_known() -> None:
    builder = sale().changed(stack="http://127.0.0.1:1")
    assert honest(builder).status is Status.NOT_OBSERVABLE


@pytest.mark.parametrize("field", ["states", "layout"])
def test_a_map_that_cannot_be_unpacked_is_bad_input(field: str) -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    looked(builder, 5.0, 3)
    row = builder.tables["operations"][-1]
    row["value"] = json.dumps(json.loads(str(row["value"])) | {field: "bm90IHBhY2tlZA=="})
    with pytest.raises(InputError, match="not packed"):
        honest(builder)


holds = st.lists(
    st.tuples(st.integers(1, SEATS), st.floats(0, 30), st.floats(0.01, 3.0), st.none() | st.floats(0, 9)), max_size=10
)
looks = st.lists(st.tuples(st.floats(0, 40), st.sets(st.integers(1, SEATS)), st.booleans()), max_size=6)


@settings(max_examples=150, deadline=None)
@given(holds=holds, looks=looks)
def test_against_the_definition_seat_by_seat(
    holds: list[tuple[int, float, float, float | None]], looks: list[tuple[float, set[int], bool]]
) -> None:
    builder = sale()
    sure: list[tuple[int, float, float]] = []  # seat, acked, until
    for fan, (number, t_s, took_s, after_s) in enumerate(holds):
        value = {"seats": [f"101-A-{number}"], "ttl_s": TTL_S}
        builder.operation(fan, "hold", f"h-{fan}", value, t_s, t_s + took_s)
        until_s = t_s + TTL_S
        if after_s is not None:
            gone_s = t_s + took_s + after_s
            builder.operation(fan, "release", f"h-{fan}", {"seats": value["seats"]}, gone_s, gone_s + 0.1)
            until_s = min(until_s, gone_s)
        sure.append((number, t_s + took_s, until_s))
    chances, wrong = 0, set()
    for t_s, taken, stale in looks:
        looked(builder, t_s, *taken, stale=stale)
        for number in range(1, SEATS + 1) if not stale else ():
            of_seat = [one for one in sure if one[0] == number and one[1] <= t_s - BOUND_S and one[2] > t_s + 0.03]
            chances += bool(of_seat)
            if of_seat and number not in taken:
                wrong.add(number)
    result = honest(builder)
    assert result.chances == chances
    assert {violation.summary.split()[1] for violation in result.violations} == {f"101-A-{number}" for number in wrong}


@pytest.mark.parametrize("state", ["1", "2"])
def test_a_seat_that_nobody_asked_for_is_shown_taken(state: str) -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    builder.tables["final_seats"].append({"seat": "101-A-5", "state": "free"})
    looked(builder, 3.5, 3, 5, state=state)
    looked(builder, 4.5, 3, 5, state=state)
    result = honest(builder)
    assert [one.summary for one in result.violations] == [
        "seat 101-A-5 was shown taken to fan-0009, and nobody ever asked for it"
    ]


def test_a_seat_that_somebody_was_refused_may_be_taken() -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    builder.tables["final_seats"].append({"seat": "101-A-5", "state": "free"})
    builder.operation(2, "hold", "", {"seats": ["101-A-5"]}, 2.0, None, "unknown", "timeout")
    looked(builder, 3.5, 3, 5)
    assert honest(builder).status is Status.HELD


@pytest.mark.parametrize("states", ["00900000", "00"], ids=["a state that is none", "a seat that is left out"])
def test_a_map_that_does_not_show_how_taken_seats_stand(states: str) -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    builder.seats = builder.seats[: len(states)]
    builder.look(9, 3.5, states, set())
    result = honest(builder)
    assert (result.status, result.chances) == (Status.UNKNOWN, 0)
    assert result.note == "1 maps did not show how seats stand that were surely taken"


@pytest.mark.parametrize(("stale", "status"), [(1, Status.HELD), (2, Status.HELD), (3, Status.UNKNOWN)])
def test_few_maps_are_marked_stale_while_nothing_is_broken(stale: int, status: Status) -> None:
    builder = sale()
    held(builder, 1, 3, 2.0)
    for number in range(15):
        looked(builder, 3.5 + number / 10, 3, stale=number < stale)
    assert honest(builder).status is status


@pytest.mark.parametrize(
    ("free", "problem"),
    [
        (-5, "section 101 was shown to fan-0009 with -5 free seats, and at least 7 were"),
        (10**25, f"section 101 was shown to fan-0009 with {10**25} free seats, and at most 7 were"),
    ],
)
def test_counts_that_cannot_be_are_no_counts_that_are_missing(free: int, problem: str) -> None:
    builder = with_layout(sale())
    held(builder, 1, 3, 2.0)
    counted(builder, 4.5, free)
    assert [one.summary for one in honest(builder).violations] == [problem]


def test_a_section_that_a_count_leaves_out_is_no_chance() -> None:
    builder = with_layout(sale())
    held(builder, 1, 3, 2.0)
    builder.operation(9, "count", "", {"counts": "a", "free": {"101": SEATS}}, 1.0, 1.03)
    builder.operation(9, "count", "", {"counts": "b", "free": {"102": 4}}, 4.5, 4.53)
    assert (honest(builder).status, honest(builder).chances) == (Status.NOT_EXERCISED, 0)
    builder.operation(9, "count", "", {"counts": "c", "free": {"101": SEATS - 1}}, 5.5, 5.53)
    assert honest(builder).chances == 1


@pytest.mark.parametrize(("t_s", "kept"), [(4.0, True), (2.5, True), (0.5, False)])
def test_a_seat_that_somebody_was_being_refused_may_be_counted_as_taken(t_s: float, kept: bool) -> None:
    builder = with_layout(sale())
    held(builder, 1, 3, 1.0)
    builder.operation(2, "hold", "", {"seats": ["101-A-3", "101-A-4"]}, t_s, t_s + 0.6, "fail", "conflict")
    counted(builder, 4.5, SEATS - 2)
    assert (honest(builder).status is Status.HELD) is kept


def test_where_choosing_keeps_nothing_purchases_explain_counts() -> None:
    builder = with_layout(sale())
    builder.changed(capabilities=("no_hold", "seats", "order_export"))
    value = {"seats": ["101-A-3"], "order_id": "o", "state": "confirmed"}
    builder.operation(1, "pay", "k", value, 2.0, 2.1)
    builder.operation(2, "pay", "k2", value | {"seats": ["101-A-4"]}, 2.0, None, "unknown", "timeout")
    counted(builder, 4.5, SEATS - 2)
    assert (honest(builder).status, honest(builder).chances) == (Status.HELD, 1)


@pytest.mark.parametrize(("section", "free", "found"), [("B", 0, 0), ("B-1", 1, 0), ("C", 0, 1)])
def test_where_a_seats_name_may_be_of_two_sections_neither_is_judged(section: str, free: int, found: int) -> None:
    """B-1-3 is seat 3 of row 1 of section B, or of section B-1."""
    builder = empty()
    builder.tables["final_seats"] += [
        {"seat": seat, "state": "free"} for seat in ("B-1-1", "B-1-2", "B-2-1", "B-1-1-1", "C-1-1", "C-1-2")
    ]
    shown = {"B": 3, "B-1": 1, "C": 2} | {section: free}
    builder.operation(9, "count", "", {"counts": "x", "free": shown}, 1.0, 1.03)
    assert honest(builder).violations_total == found


@pytest.mark.parametrize(("t_s", "found"), [(9.5, 0), (12.5, 2)])
def test_holds_of_before_the_release_may_be_shown_on_a_platform_that_was_not_made_fresh(t_s: float, found: int) -> None:
    builder = with_layout(sale())
    rules = {"hold_ttl_s": TTL_S, "hold_late_max_s": 1.0, "map_late_max_s": BOUND_S}
    builder.changed(
        stack="https://tickets.example",
        scenario=builder.run.scenario | {"platform": {"rules": rules, "baseline": "read"}},
    )
    builder.tables["final_seats"] += [{"seat": f"101-A-{number}", "state": "free"} for number in range(1, SEATS + 1)]
    looked(builder, t_s, 3)
    counted(builder, t_s, SEATS - 1)
    assert honest(builder).violations_total == found
