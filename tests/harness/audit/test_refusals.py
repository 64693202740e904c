"""refused_for_cause: against its definition, and case by case."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import Anomaly, FaultRun
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import booked, empty, exported, judged, with_uncertain_clocks

TTL_S = 8.0
LATE_S = 1.0
LIMIT = 4
SEATS = ("101-A-1", "101-A-2", "101-A-3")


def refused(builder: RunBuilder) -> InvariantResult:
    return judged("refused_for_cause", builder)


def sale(*, on_sale: tuple[str, ...] = SEATS) -> RunBuilder:
    builder = empty()
    builder.tables["final_seats"] += [{"seat": seat, "state": "free"} for seat in on_sale]
    return builder


def hold(
    builder: RunBuilder,
    fan: int,
    t_s: float,
    seats: tuple[str, ...],
    error: str = "",
    *,
    outcome: str = "",
    identity: str = "",
) -> None:
    """Granted where there is no error; answered 0.1 s later."""
    value: dict[str, object] = {"seats": list(seats)} | ({} if error else {"ttl_s": TTL_S})
    key = "" if error else f"h-{len(builder.tables['operations'])}"
    outcome = outcome or ("fail" if error else "ok")
    builder.operation(fan, "hold", key, value, t_s, t_s + 0.1, outcome, error, identity=identity)


def own(builder: RunBuilder, **rules: object) -> RunBuilder:
    """The same sale on a platform of somebody's own, which promises this."""
    return builder.changed(
        stack="https://tickets.example", scenario=builder.run.scenario | {"platform": {"rules": rules}}
    )


def pay(builder: RunBuilder, fan: int, t_s: float, seats: tuple[str, ...], error: str = "", hold_id: str = "") -> None:
    """Confirmed where there is no error; answered 0.1 s later."""
    value: dict[str, object] = {"hold_id": hold_id, "seats": list(seats)}
    number = len(builder.tables["operations"])
    value |= {} if error else {"order_id": f"o-{number}", "state": "confirmed"}
    builder.operation(fan, "pay", f"k-{number}", value, t_s, t_s + 0.1, "fail" if error else "ok", error)


def enter(builder: RunBuilder, fan: int, t_s: float, error: str = "", *, outcome: str = "") -> None:
    value = {} if error else {"admission_no": fan, "epoch": "e"}
    outcome = outcome or ("fail" if error else "ok")
    builder.operation(fan, "enter", f"fan-{fan:04d}", value, t_s, t_s + 0.1, outcome, error)


def called(builder: RunBuilder, fan: int, t_s: float) -> None:
    builder.fans = 99
    builder.operation(fan, "join", f"fan-{fan:04d}", {"position": 3, "epoch": "e.0"}, 0.0, 0.1)
    builder.event(fan, "positions", "admitted", t_s, "e.0")


def declined(builder: RunBuilder, *, by_provider: bool) -> None:
    value = {"hold_id": "h", "seats": [SEATS[0]]}
    builder.operation(1, "pay", "k-o", value, 2.0, 2.1, "fail", "declined")
    exported(builder, 1, SEATS[0], "o", "declined")
    if by_provider:
        booked(builder, "o", "decline")


asked = st.tuples(
    st.floats(0, 30),
    st.integers(0, 3),
    st.lists(st.sampled_from(SEATS), min_size=1, max_size=3, unique=True),
    st.sampled_from(["", "", "conflict"]),
)


@settings(max_examples=200, deadline=None)
@given(asks=st.lists(asked, max_size=10))
def test_conflicts_against_the_definition(asks: list[tuple[float, int, list[str], str]]) -> None:
    builder = sale()
    wrong = 0
    for number, (t_s, fan, seats, error) in enumerate(asks):
        hold(builder, fan, t_s, tuple(seats), error)
        others = [one for at, one in enumerate(asks) if at != number]
        had = {seat for begun_s, _, of, no in others if not no and begun_s <= t_s + 0.1 for seat in of}
        rival = {s for u, _, of, no in others if no and abs(u - t_s) <= 0.1 + 1e-9 for s in of}
        wrong += bool(error) and not (had | rival) & set(seats)
    assert refused(builder).violations_total == wrong


@settings(max_examples=200, deadline=None)
@given(
    holds=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 3)), max_size=4),
    ask=st.tuples(st.floats(0, 40), st.integers(1, 4)),
)
def test_limits_against_the_definition(holds: list[tuple[float, int]], ask: tuple[float, int]) -> None:
    builder = sale()
    for number, (t_s, size) in enumerate(holds):
        hold(builder, number, t_s, tuple(f"1-{number}-{n}" for n in range(size)), identity="ann")
    t_s, size = ask
    hold(builder, 9, t_s, tuple(f"2-{n}" for n in range(size)), "limit", identity="ann")
    theirs = sum(n for begun_s, n in holds if begun_s <= t_s + 0.1 and begun_s + 0.1 + TTL_S + LATE_S >= t_s)
    assert (refused(builder).status is Status.VIOLATED) is (theirs + size <= LIMIT)


def test_the_history_says_what_was_refused() -> None:
    builder = sale()
    hold(builder, 1, 1.0, SEATS[:2], identity="ann")
    hold(builder, 2, 2.0, SEATS[2:], "limit", identity="ann")
    assert refused(builder).violations[0].summary == "ann was refused 1 seats for the limit of 4, and had 2 at most"


@pytest.mark.parametrize("error", ["limit", "conflict"])
def test_a_hold_that_may_have_been_granted_explains_a_refusal(error: str) -> None:
    builder = sale()
    hold(builder, 1, 1.0, SEATS, "timeout", outcome="unknown", identity="ann")
    hold(builder, 2, 30.0, SEATS[:2], error, identity="ann")
    assert refused(builder).status is Status.HELD


def bought_before(builder: RunBuilder, fan: str, order_id: str = "old", seat: str = "9-9-9") -> None:
    row = {"order_id": order_id, "fan": fan, "seat": seat, "state": "confirmed", "amount_cents": 1}
    builder.tables["baseline_orders"].append(row | {"idempotency_key": order_id})


def test_tickets_of_before_may_count_for_the_limit() -> None:
    builder = sale()
    bought_before(builder, "fan-0002")
    hold(builder, 2, 2.0, SEATS, "limit")
    assert refused(builder).status is not Status.VIOLATED


def test_a_payment_that_is_refused_for_the_limit() -> None:
    builder = sale()
    hold(builder, 1, 1.0, SEATS[:2])
    value = {"hold_id": "h-0", "seats": list(SEATS[:2])}
    builder.operation(1, "pay", "k", value, 2.0, 2.1, "fail", "limit")
    assert refused(builder).status is Status.VIOLATED
    hold(builder, 1, 1.2, ("7-A-1", "7-A-2", "7-A-3"))
    assert refused(builder).status is Status.HELD


def test_a_seat_that_is_not_on_sale_may_be_refused() -> None:
    builder = sale(on_sale=())
    hold(builder, 1, 1.0, SEATS[:1], "conflict")
    assert refused(builder).status is not Status.VIOLATED


@pytest.mark.parametrize("by_provider", [True, False])
def test_a_decline_is_the_providers(by_provider: bool) -> None:
    builder = sale()
    declined(builder, by_provider=by_provider)
    assert refused(builder).status is (Status.HELD if by_provider else Status.VIOLATED)
    elsewhere = builder.changed(stack="https://tickets.example")
    assert refused(elsewhere).status is not Status.VIOLATED  # its ledger may leave declines out


def test_a_decline_without_an_order_was_never_asked_of_the_provider() -> None:
    builder = sale()
    declined(builder, by_provider=True)
    builder.tables["final_orders"].clear()
    assert refused(builder).status is Status.VIOLATED


@pytest.mark.parametrize(
    ("first", "again_s", "status"),
    [
        (None, 5.0, Status.VIOLATED),  # nobody has used the ticket
        (("", ""), 5.0, Status.VIOLATED),  # so soon it is a repeat
        (("", ""), 70.0, Status.HELD),
        (("timeout", "unknown"), 5.0, Status.VIOLATED),
        (("timeout", "unknown"), 70.0, Status.HELD),
        (("waiting", "fail"), 5.0, Status.VIOLATED),
    ],
)
def test_a_ticket_that_is_called_used(first: tuple[str, str] | None, again_s: float, status: Status) -> None:
    builder = sale()
    if first:
        enter(builder, 1, 2.0, first[0], outcome=first[1])
    enter(builder, 1, again_s, "used")
    assert refused(builder).status is status


def test_elsewhere_nobody_said_that_a_second_entry_gets_the_same_answer() -> None:
    builder = sale().changed(stack="https://tickets.example")
    enter(builder, 1, 2.0)
    enter(builder, 1, 5.0, "used")
    assert refused(builder).status is Status.HELD


@pytest.mark.parametrize(("error", "asked_s"), [("waiting", 4.0), ("expired", 4.0)])
def test_a_called_fan_is_let_in(error: str, asked_s: float) -> None:
    builder = sale()
    called(builder, 1, 3.0)
    enter(builder, 1, asked_s, error)
    assert refused(builder).status is Status.VIOLATED


def test_a_fault_may_lose_a_call() -> None:
    builder = sale()
    called(builder, 1, 3.0)
    enter(builder, 1, 4.0, "waiting")
    kill = FaultRun(
        experiment="redis-kill", component="redis", kind="kill", injector="process", hypothesis="", runbook="",
        t_requested_s=3.2, t_effective_s=3.2, t_heal_requested_s=3.6, t_healed_s=3.6, proven=True,
    )  # fmt: skip
    builder.faults = msgspec.structs.replace(builder.faults, faults=(kill,))
    assert refused(builder).status is Status.HELD


def test_who_is_not_called_yet_may_be_told_to_wait() -> None:
    builder = sale()
    called(builder, 1, 3.0)
    enter(builder, 1, 2.0, "waiting")
    assert refused(builder).status is Status.HELD


def test_where_nobody_was_refused_and_nobody_came_in_nothing_is_held() -> None:
    assert (refused(sale()).status, refused(sale()).chances) == (Status.UNKNOWN, 0)


def told_sold_out(builder: RunBuilder, fan: int, *at_s: float) -> None:
    for t_s in at_s:
        builder.event(fan, "positions", "sold_out", t_s)["actor"] = f"fan-{fan:04d}"


@pytest.mark.parametrize(
    ("asked_s", "told_s", "false"),
    [
        ((1.0, 2.0, 3.0), 5.0, False),
        ((1.0, 2.0, 9.0), 5.0, True),
        ((1.0, 2.0), 5.0, True),
        ((1.0, 2.0, 5.01), 5.0, False),
    ],
)
def test_sold_out_is_told_only_when_every_seat_had_been_asked_for(
    asked_s: tuple[float, ...], told_s: float, false: bool
) -> None:
    builder = with_uncertain_clocks(sale(), 20.0)
    for fan, (seat, t_s) in enumerate(zip(SEATS, asked_s, strict=False)):
        hold(builder, fan, t_s, (seat,))
    told_sold_out(builder, 9, told_s, told_s + 0.1)
    result = refused(builder)
    assert (result.chances, result.violations_total) == (2, int(false))
    if false:
        assert result.violations[0].summary.startswith("fan-0009 was told that nothing is left, and nobody had asked")


FIVE = tuple(f"7-A-{number}" for number in range(1, 6))


@pytest.mark.parametrize(
    ("rules", "asked", "status"),
    [
        ({"purchase_limit": 4}, 4, Status.VIOLATED),
        ({"purchase_limit": 4}, 5, Status.HELD),
        ({"purchase_limit": 6, "order_limit": 4}, 4, Status.VIOLATED),
        ({"purchase_limit": 6, "order_limit": 4}, 5, Status.HELD),  # no order may have so many
        ({"purchase_limit": 4, "order_limit": 6}, 5, Status.HELD),
        ({"purchase_limit": 6, "order_limit": 0}, 5, Status.VIOLATED),
    ],
)
def test_a_request_over_the_limit_of_one_order_may_be_refused(
    rules: dict[str, int], asked: int, status: Status
) -> None:
    builder = own(sale(), **rules)
    hold(builder, 1, 1.0, FIVE[:asked], "limit")
    assert refused(builder).status is status


def test_what_a_fan_has_chosen_counts_for_the_limit_of_one_order_and_what_they_bought_does_not() -> None:
    builder = own(sale(), purchase_limit=8, order_limit=4)
    hold(builder, 1, 1.0, FIVE[:3])
    hold(builder, 1, 2.0, SEATS[:2], "limit")
    assert refused(builder).status is Status.HELD
    pay(builder, 1, 1.2, FIVE[:3], hold_id="h-0")
    assert refused(builder).status is Status.VIOLATED


def test_tickets_without_seats_count_for_the_limit_too() -> None:
    builder = own(sale(), purchase_limit=4)
    hold(builder, 1, 2.0, SEATS[:2], "limit")
    assert refused(builder).status is Status.VIOLATED
    builder.operation(1, "hold", "h", {"pool": "standing", "quantity": 3, "ttl_s": TTL_S}, 1.0, 1.1)
    assert refused(builder).status is Status.HELD


def test_fans_who_bought_before_the_release_excuse_nobody_else() -> None:
    builder = sale()
    bought_before(builder, "fan-0002")
    hold(builder, 2, 2.0, SEATS, "limit")
    hold(builder, 3, 2.0, SEATS, "limit")
    assert [one.history[0].actor for one in refused(builder).violations] == ["fan-0003"]


def test_tickets_of_before_that_the_export_gives_nobody_may_be_anybodys() -> None:
    builder = sale()
    bought_before(builder, "")
    hold(builder, 3, 2.0, SEATS, "limit")
    assert refused(builder).violations_total == 1
    bought_before(builder, "", "older", "9-9-8")
    assert refused(builder).status is Status.HELD


def unreserved() -> RunBuilder:
    """A platform of somebody's own whose baskets keep nothing."""
    builder = own(sale(), purchase_limit=LIMIT)
    return builder.changed(capabilities=("no_hold", "seats", "order_export"))


def test_where_choosing_keeps_nothing_what_was_bought_explains_a_refusal() -> None:
    builder = unreserved()
    pay(builder, 1, 5.0, SEATS[:2], "limit")
    pay(builder, 2, 8.0, SEATS[:1], "conflict")
    assert refused(builder).violations_total == 2
    pay(builder, 1, 1.0, FIVE[:3])
    pay(builder, 3, 2.0, SEATS[:1])
    assert (refused(builder).status, refused(builder).chances) == (Status.HELD, 2)


@pytest.mark.parametrize("error", ["conflict", "limit"])
@pytest.mark.parametrize("other", [1, 2], ids=["the fan's own", "somebody else's"])
def test_another_request_for_the_seat_that_was_under_way_may_have_kept_it(other: int, error: str) -> None:
    builder = sale()
    hold(builder, 1, 1.0, SEATS[:1], "conflict")
    assert refused(builder).status is Status.VIOLATED
    hold(builder, other, 1.05, (*FIVE, *SEATS[:1]), error)
    hold(builder, 9, 1.0, FIVE)
    assert refused(builder).status is Status.HELD


def test_a_request_that_was_under_way_by_another_clock_may_have_kept_the_seat() -> None:
    builder = sale()
    hold(builder, 1, 1.0, SEATS[:1], "conflict")
    hold(builder, 2, 1.13, SEATS[:1], "conflict")
    assert refused(builder).violations_total == 2
    assert refused(with_uncertain_clocks(builder, 20.0)).status is Status.HELD


def test_seats_of_which_nothing_is_known_make_no_chance_of_being_told_that_nothing_is_left() -> None:
    builder = sale(on_sale=())
    enter(builder, 1, 1.0)
    told_sold_out(builder, 9, 5.0)
    assert (refused(builder).status, refused(builder).chances) == (Status.HELD, 1)


@pytest.mark.parametrize("given_back", [False, True])
def test_a_platform_of_ones_own_that_says_sold_out_while_its_own_export_shows_a_free_seat(given_back: bool) -> None:
    builder = own(sale(), purchase_limit=LIMIT)
    for fan, seat in enumerate(SEATS if given_back else SEATS[:2]):
        hold(builder, fan, 1.0, (seat,))
    told_sold_out(builder, 9, 5.0)
    assert refused(builder).violations_total == (0 if given_back else 1)
    restless = builder.changed(at_rest=False)
    assert refused(restless).violations_total == 0


@pytest.mark.parametrize(
    ("free", "before", "bought", "lies"),
    [
        (3, None, 0, False),  # so many were asked for, and may have been given back
        (4, None, 0, True),
        (1, None, 3, True),
        (1, None, 2, False),
        (4, 20, 0, True),
        (4, 19, 0, False),  # one was added, perhaps at the very end
    ],
)
def test_sold_out_while_tickets_are_free_at_rest_that_nobody_gave_back(
    free: int, before: int | None, bought: int, lies: bool
) -> None:
    builder = own(sale(on_sale=()), purchase_limit=LIMIT)
    builder.operation(1, "hold", "h", {"pool": "floor", "quantity": 3, "ttl_s": TTL_S}, 1.0, 1.1)
    if bought:
        value = {"hold_id": "h", "pool": "floor", "quantity": bought, "order_id": "o", "state": "confirmed"}
        builder.operation(1, "pay", "k", value, 2.0, 2.1)
        row = {"order_id": "o", "fan": "fan-0001", "seat": "", "pool": "floor", "quantity": bought, "amount_cents": 1}
        builder.tables["final_orders"].append(row | {"state": "confirmed", "idempotency_key": "k"})
    builder.tables["final_stock"].append({"pool": "floor", "free": free, "held": 0, "sold": 20 - free})
    if before is not None:
        builder.tables["baseline_stock"].append({"pool": "floor", "free": before, "held": 0, "sold": 0})
    told_sold_out(builder, 9, 5.0)
    assert refused(builder).violations_total == int(lies)
    if lies:
        assert refused(builder).violations[0].summary.endswith("and nobody had asked for tickets of floor by then")


@pytest.mark.parametrize(("code", "one_each"), [("c0de", 0), ("", 1)], ids=["a code", "an identity"])
def test_a_ticket_whose_place_went_to_another_fan_may_be_called_used(code: str, one_each: int) -> None:
    builder = sale()
    rules = builder.run.scenario["on_sale"] | {"places_per_identity": one_each}
    builder.changed(scenario=builder.run.scenario | {"on_sale": rules})
    value = {"position": None, "epoch": "", "parked": True} | ({"code": code} if code else {})
    builder.operation(1, "join", "fan-0001", value, 0.0, 0.1, identity="ann")
    builder.operation(1, "enter", "fan-0001", {}, 5.0, 5.1, "fail", "used", identity="ann")
    assert refused(builder).status is Status.VIOLATED
    builder.operation(2, "join", "fan-0002", value, 0.5, 0.6, identity="ben" if code else "ann")
    assert refused(builder).status is Status.HELD


def turned_away(builder: RunBuilder, fan: int, t_s: float, *, identity: str = "", code: str = "") -> None:
    value = {"code": code} if code else {}
    builder.fans = 99
    builder.operation(fan, "join", "", value, t_s, t_s + 0.1, "fail", "turned_away", identity=identity)


@pytest.mark.parametrize("in_line", [False, True])
def test_who_is_turned_away_although_nobody_else_asked_for_that_place(in_line: bool) -> None:
    builder = empty()
    builder.fans = 99
    builder.operation(2, "join", "fan-0002", {"position": 1, "code": "other"}, 0.0, 0.1)
    if in_line:
        builder.operation(1, "join", "fan-0001", {"parked": True, "code": "own"}, 1.0, 1.1)
        builder.event(1, "positions", "refused", 3.0, key="turned_away")
    else:
        turned_away(builder, 1, 1.0, code="own")
    [violation] = refused(builder).violations
    assert violation.summary.startswith("fan-0001 was turned away, and nobody else had asked")
    own(builder)
    assert refused(builder).status is not Status.VIOLATED


@pytest.mark.parametrize("outcome", ["ok", "unknown"])
@pytest.mark.parametrize(("code", "one_each"), [("c0de", 0), ("", 1)], ids=["a code", "an identity"])
def test_a_place_that_another_fan_asked_for_may_be_refused(code: str, one_each: int, outcome: str) -> None:
    builder = empty()
    builder.fans = 99
    changed = {"on_sale": {"places_per_identity": one_each}}
    builder.changed(scenario=builder.run.scenario | changed)
    builder.operation(
        2, "join", "fan-0002", {"code": code} if code else {}, 0.0, 0.1, outcome, "" if outcome == "ok" else "timeout",
        identity="ann",
    )  # fmt: skip
    turned_away(builder, 1, 1.0, identity="ann", code=code)
    turned_away(builder, 3, 1.0, identity="bob", code="c0de-3" if code else "")
    result = refused(builder)
    assert [one.summary.split()[0] for one in result.violations] == ["fan-0003"]
    assert result.chances == 2


def test_two_tries_to_come_in_that_overlap_may_meet_in_any_order() -> None:
    builder = own(empty())
    enter(builder, 1, 1.0, "used")
    enter(builder, 1, 1.05)
    assert refused(builder).status is Status.HELD


@pytest.mark.parametrize(
    ("ttl_s", "t_s", "status"),
    [(8.0, 8.5, Status.HELD), (8.0, 9.5, Status.VIOLATED), (None, 50.0, Status.HELD)],
)
def test_holds_of_before_the_release_may_be_there_on_a_platform_that_was_not_made_fresh(
    ttl_s: float | None, t_s: float, status: Status
) -> None:
    builder = sale()
    rules = {"hold_ttl_s": ttl_s, "hold_late_max_s": 1.0, "purchase_limit": 4}
    platform = {"rules": rules, "baseline": "read"}
    builder.changed(stack="https://tickets.example", scenario=builder.run.scenario | {"platform": platform})
    enter(builder, 9, 0.5)
    hold(builder, 1, t_s, SEATS[:1], "conflict")
    hold(builder, 2, t_s, SEATS[1:2], "limit")
    result = refused(builder)
    assert result.status is status
    assert result.violations_total == (2 if status is Status.VIOLATED else 0)


@pytest.mark.parametrize(("died_s", "status"), [(None, Status.VIOLATED), (60.0, Status.VIOLATED), (5.0, Status.HELD)])
def test_a_hold_may_stay_when_the_part_that_ends_holds_may_have_died(died_s: float | None, status: Status) -> None:
    builder = sale()
    if died_s is not None:
        death = Anomaly(t_s=died_s, source="worker", text="worker died on its own", is_death=True)
        builder = builder.changed(anomalies=(death,))
    hold(builder, 1, 1.0, SEATS, identity="ann")
    hold(builder, 2, 20.0, SEATS[:2], "limit", identity="ann")
    assert refused(builder).status is status
