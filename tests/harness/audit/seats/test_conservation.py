"""seat_conservation and no_leaked_hold, case by case."""

from __future__ import annotations

import pytest

from harness.record.schema import Anomaly
from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import at_rest, empty, judged, sold

SEATS = ("101-A-1", "101-A-2", "101-A-3")


@pytest.fixture
def arena() -> RunBuilder:
    """Three seats, one of them sold, the others held once by fans who did not pay, and swept."""
    builder = empty()
    sold(builder, 1, SEATS[0], "a")
    for fan, seat in enumerate(SEATS[1:], 1):
        builder.operation(fan, "hold", f"h-{seat}", {"seats": [seat], "ttl_s": 8.0}, 2.0, 2.1)
    for seat in SEATS[1:]:
        builder.tables["final_seats"].append({"seat": seat, "state": "free"})
        builder.operation(9, "sweep", seat, {}, 60.0, 60.1, actor="sweep")
    at_rest(builder, capacity=3)
    return builder


def test_every_seat_once_and_every_sale_owned(arena: RunBuilder) -> None:
    assert judged("seat_conservation", arena).status is Status.HELD
    assert judged("no_leaked_hold", arena).status is Status.HELD


@pytest.mark.parametrize("state", ["free", "held"])
def test_a_sale_that_the_map_does_not_show(arena: RunBuilder, state: str) -> None:
    next(row for row in arena.tables["final_seats"] if row["seat"] == SEATS[0])["state"] = state
    found = judged("seat_conservation", arena)
    assert [v.summary for v in found.violations] == [f"seat {SEATS[0]} is sold, but the map has it {state}"]


def test_a_seat_too_many(arena: RunBuilder) -> None:
    arena.tables["final_seats"].append({"seat": "999-Z-1", "state": "free"})
    summary = judged("seat_conservation", arena).violations[0].summary
    assert summary == "the map has 1 sold + 0 held + 3 free = 4 seats, the venue has 3"


def test_a_seat_twice(arena: RunBuilder) -> None:
    arena.tables["final_seats"].append({"seat": SEATS[1], "state": "free"})
    assert judged("seat_conservation", arena).violations[0].summary == f"seat {SEATS[1]} is in the map 2 times"


def test_a_seat_that_was_held_is_gone_even_where_no_capacity_is_published(arena: RunBuilder) -> None:
    at_rest(arena, capacity=None)
    arena.tables["final_seats"].pop(0)
    result = judged("seat_conservation", arena)
    assert result.violations[0].summary == f"seat {SEATS[0]} is missing from the map"
    assert "publishes no capacity" in result.note


def test_a_seat_sold_to_nobody(arena: RunBuilder) -> None:
    arena.tables["final_seats"][1]["state"] = "sold"
    assert judged("seat_conservation", arena).violations[0].summary == f"seat {SEATS[1]} is sold to nobody"


def test_a_seat_still_held_at_rest_names_its_last_holder(arena: RunBuilder) -> None:
    arena.tables["final_seats"][1]["state"] = "held"
    arena.operation(3, "hold", "h-3", {"seats": [SEATS[1]]}, 3.0, 3.1)
    arena.operation(4, "hold", "", {"seats": [SEATS[1]]}, 4.0, 4.1, "fail", "conflict")
    result = judged("no_leaked_hold", arena)
    assert result.violations_total == 1
    assert [step.text for step in result.violations[0].history] == [
        f"fan-0003 held seat {SEATS[1]} (hold h-3)",
        f"seat {SEATS[1]} is still held",
    ]


def test_the_sweep_finds_what_the_map_hides(arena: RunBuilder) -> None:
    arena.tables["operations"][-1] |= {"outcome": "fail", "error": "conflict"}
    assert (
        judged("no_leaked_hold", arena).violations[0].summary == f"seat {SEATS[2]} stays held though nobody bought it"
    )


@pytest.mark.parametrize(("outcome", "error"), [("unknown", "timeout"), ("fail", "status")])
def test_a_sweep_that_did_not_reach_the_inventory_says_nothing(arena: RunBuilder, outcome: str, error: str) -> None:
    arena.tables["operations"][-1] |= {"outcome": outcome, "error": error}
    result = judged("no_leaked_hold", arena)
    assert (result.status, result.unknowns, result.chances) == (Status.HELD, 1, 1)


def test_where_no_sweep_reached_the_inventory_nothing_is_decided(arena: RunBuilder) -> None:
    for row in arena.tables["operations"]:
        if row["function"] == "sweep":
            row |= {"outcome": "fail", "error": "status"}
    result = judged("no_leaked_hold", arena)
    assert (result.status, result.chances) == (Status.UNKNOWN, 0)
    assert "no seat could be swept" in result.note


def test_seats_that_changed_hands_are_the_chances_of_conservation(arena: RunBuilder) -> None:
    assert judged("seat_conservation", arena).chances == 3
    arena.tables["operations"].clear()
    arena.tables["final_orders"].clear()
    for row in arena.tables["final_seats"]:
        row["state"] = "free"
    result = judged("seat_conservation", arena)
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_unpaid_holds_whose_seats_were_swept_are_the_chances_of_leaked_holds(arena: RunBuilder) -> None:
    assert judged("no_leaked_hold", arena).chances == 2
    arena.tables["operations"] = [
        row for row in arena.tables["operations"] if (row["function"], row["t_invoke_s"]) != ("hold", 2.0)
    ]
    result = judged("no_leaked_hold", arena)
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_in_a_sold_out_house_unpaid_holds_whose_seats_others_bought_are_the_chances(arena: RunBuilder) -> None:
    """Nothing is left to sweep; a seat that another fan bought was not kept by the hold before."""
    arena.tables["operations"] = [row for row in arena.tables["operations"] if row["function"] != "sweep"]
    arena.tables["final_seats"] = [row for row in arena.tables["final_seats"] if row["state"] == "sold"]
    at_rest(arena, capacity=1)
    own = judged("no_leaked_hold", arena)
    assert (own.status, own.chances) == (Status.NOT_EXERCISED, 0)
    arena.operation(7, "hold", "h-early", {"seats": [SEATS[0]], "ttl_s": 0.2}, 0.1, 0.2)
    result = judged("no_leaked_hold", arena)
    assert (result.status, result.chances) == (Status.HELD, 1)


@pytest.mark.parametrize("name", ["seat_conservation", "no_leaked_hold"])
@pytest.mark.parametrize(
    "changes",
    [
        {"at_rest": False, "unrest": ("80 orders still pending",)},
        {"at_rest": None},
        {"anomalies": (Anomaly(t_s=3.0, source="payments", text="payments died with signal 9", is_death=True),)},
    ],
    ids=["not at rest", "not asked", "a part died"],
)
def test_without_rest_nothing_is_called_violated(arena: RunBuilder, name: str, changes: dict[str, object]) -> None:
    arena.tables["final_seats"][1]["state"] = "held"
    arena.tables["final_seats"][2]["state"] = "sold"
    arena.tables["operations"][-1] |= {"outcome": "fail", "error": "conflict"}
    assert judged(name, arena).status is Status.VIOLATED
    result = judged(name, arena.changed(**changes))
    assert (result.status, result.violations) == (Status.UNKNOWN, ())
    assert "the platform did not come to rest" in result.note
