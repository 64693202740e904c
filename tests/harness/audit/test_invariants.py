"""The audit as a whole: correct runs raise nothing, each breakage is caught, nothing passes for lack of proof."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit import INVARIANTS, InvariantSpec, audit
from harness.audit.history import Evidence
from harness.audit.invariants import check
from harness.audit.tally import VIOLATIONS_KEPT, Tally
from harness.errors import InputError
from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty
from tests.paper_sale import EVERY_CAPABILITY

BREAKAGES = {
    RunBuilder.double_sell: "no_double_sell",
    RunBuilder.lose_booking: "no_lost_booking",
    RunBuilder.lose_order: "no_lost_order",
    RunBuilder.lose_seat: "seat_conservation",
    RunBuilder.leak_hold: "no_leaked_hold",
    RunBuilder.grant_other: "granted_as_asked",
    RunBuilder.expire_early: "no_early_expiry",
    RunBuilder.expire_late: "no_late_expiry",
    RunBuilder.grant_sold: "no_sold_seat_granted",
    RunBuilder.refuse_for_nothing: "refused_for_cause",
    RunBuilder.show_free: "map_honest",
    RunBuilder.double_charge: "money_reconciles",
    RunBuilder.raise_prices: "charged_as_shown",
    RunBuilder.reuse_key: "one_key_one_purchase",
    RunBuilder.exceed_limit: "purchase_limit",
    RunBuilder.show_other_number: "bought_as_told",
    RunBuilder.sell_unasked: "no_unasked_purchase",
    RunBuilder.jump_the_queue: "queue_order",
    RunBuilder.lose_place: "place_kept",
    RunBuilder.regress_position: "position_monotonic",
    RunBuilder.bypass_queue: "no_queue_bypass",
    RunBuilder.burst_in: "admission_rate",
    RunBuilder.drop_feed_event: "feed_gap_free",
}

SIDE_EFFECTS = {
    RunBuilder.jump_the_queue: {"admission_rate", "place_kept", "position_monotonic"},  # its numbers tell nothing more
    RunBuilder.burst_in: {"position_monotonic"},  # more were let in than fans who hear of a place can tell
    RunBuilder.refuse_for_nothing: {"feed_gap_free"},  # nobody tells the followers of its seat
    RunBuilder.expire_early: {"feed_gap_free"},  # nobody tells the followers of its seat
    RunBuilder.expire_late: {"feed_gap_free"},
    RunBuilder.lose_booking: {"no_lost_order"},  # what was confirmed was acknowledged too
    RunBuilder.sell_unasked: {"no_lost_booking"},  # an order that nobody asked for, too
}

SHOWN = [name for name, one in INVARIANTS.items() if set(one.needs) <= set(EVERY_CAPABILITY)]

OF_THE_MONEY = {"money_reconciles", "charged_as_shown", "one_key_one_purchase"}

onsales = st.builds(
    RunBuilder,
    fans=st.integers(15, 60),
    spectators=st.integers(1, 4),
    seed=st.integers(0, 2**32),
    admission_rate_per_s=st.sampled_from([1.5, 2.0, 8.0, 40.0]),
    rows_per_section=st.integers(4, 8),
    faulty=st.booleans(),
)


def statuses(builder: RunBuilder) -> dict[str, Status]:
    return {result.name: result.status for result in audit(builder.record()) if result.name in SHOWN}


@settings(max_examples=40, deadline=None)
@given(onsale=onsales)
def test_a_correct_run_is_never_flagged(onsale: RunBuilder) -> None:
    assert statuses(onsale) == dict.fromkeys(SHOWN, Status.HELD)


@pytest.mark.parametrize(("breakage", "name"), BREAKAGES.items(), ids=[b.__name__ for b in BREAKAGES])
def test_each_breakage_is_always_flagged_and_nothing_else_is(
    breakage: Callable[[RunBuilder], RunBuilder], name: str
) -> None:
    @settings(max_examples=15, deadline=None)
    @given(onsale=onsales)
    def flagged(onsale: RunBuilder) -> None:
        found = statuses(breakage(onsale))
        besides = {other: found[other] for other in SIDE_EFFECTS.get(breakage, ())}
        assert found == dict.fromkeys(SHOWN, Status.HELD) | besides | {name: Status.VIOLATED}

    flagged()


def test_every_breakage_of_the_builder_has_its_invariant() -> None:
    assert set(BREAKAGES.values()) == set(SHOWN)  # of pools: see tests/harness/audit/stock


def test_a_violation_shows_its_history_and_the_faults_in_force() -> None:
    results = {result.name: result for result in audit(RunBuilder().double_sell().record())}
    violation = results["no_double_sell"].violations[0]
    assert violation.faults == ("payment-latency-8s",)
    assert [step.actor for step in violation.history][-1] == "fan-9999"
    assert "fan-9999 was told order order-9999 is confirmed for seat" in violation.history[-1].text


def test_an_empty_record_holds_nothing() -> None:
    assert Status.HELD not in statuses(empty()).values()
    assert Status.VIOLATED not in statuses(empty()).values()


def test_what_a_platform_does_not_show_is_not_observable() -> None:
    found = statuses(RunBuilder().changed(capabilities=("queue",)))
    assert found["queue_order"] is Status.HELD
    assert {name for name, status in found.items() if status is Status.NOT_OBSERVABLE} == {
        "bought_as_told",
        "granted_as_asked",
        "no_unasked_purchase",
        "no_lost_booking",
        "no_lost_order",
        "no_double_sell",
        "no_early_expiry",
        "no_late_expiry",
        "no_sold_seat_granted",
        "seat_conservation",
        "no_leaked_hold",
        "money_reconciles",
        "charged_as_shown",
        "one_key_one_purchase",
        "feed_gap_free",
        "map_honest",
    }


@pytest.mark.parametrize(
    ("absent", "names"),
    [
        ("final_seats", {"seat_conservation", "no_leaked_hold"}),
        ("final_orders", {"no_lost_booking", "no_lost_order", "bought_as_told", "no_unasked_purchase", *OF_THE_MONEY}),
        ("final_ledger", OF_THE_MONEY),
    ],
)
def test_a_read_that_failed_at_rest_is_unknown(absent: str, names: set[str]) -> None:
    results = audit(RunBuilder().record(absent=[absent]))
    unknown = {result.name: result.note for result in results if result.status is Status.UNKNOWN}
    assert set(unknown) == names
    assert all("could not be read at rest" in note for note in unknown.values())


def test_a_crashed_checker_has_found_nothing_out() -> None:
    def crash(evidence: Evidence) -> Tally:
        raise ZeroDivisionError("division by zero")

    spec = InvariantSpec(name="no_double_sell", title="t", check="c", chance="n", exercised_by=("pay",), checker=crash)
    result = check(spec, Evidence(RunBuilder(fans=3).record()))
    assert result.status is Status.UNKNOWN
    assert result.note == "the checker crashed: ZeroDivisionError: division by zero"


@pytest.mark.parametrize("first", [True, False])
def test_a_new_invariant_may_read_any_operations_wherever_it_is_registered(
    monkeypatch: pytest.MonkeyPatch, *, first: bool
) -> None:
    views = ("joins", "enters", "holds", "releases", "pays", "lookups", "sweeps", "probes", "looks")

    def count(evidence: Evidence) -> Tally:
        tally = Tally(evidence)
        tally.checked = sum(len(getattr(evidence, view)) for view in views)
        return tally

    spec = msgspec.structs.replace(INVARIANTS["no_double_sell"], name="new", needs=(), checker=count)
    registered = {"new": spec, **INVARIANTS} if first else {**INVARIANTS, "new": spec}
    monkeypatch.setattr("harness.audit.invariants.INVARIANTS", registered)
    record = RunBuilder().record()
    results = {result.name: result for result in audit(record) if result.name in [*SHOWN, "new"]}
    assert results.pop("new").operations_checked == record.table("operations").num_rows
    assert {result.status for result in results.values()} == {Status.HELD}


def test_violations_are_all_counted_and_the_first_ones_kept() -> None:
    tally = Tally(Evidence(RunBuilder(fans=0).record()))
    for number in range(VIOLATIONS_KEPT + 5):
        tally.violated(f"number {number}")
    result = tally.result("no_double_sell")
    assert result.violations_total == VIOLATIONS_KEPT + 5
    assert [violation.summary for violation in result.violations] == [f"number {n}" for n in range(VIOLATIONS_KEPT)]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("operations", "function", "refund"),
        ("operations", "outcome", "perhaps"),
        ("operations", "value", "{"),
        ("operations", "value", '{"seats": 7}'),
        ("final_seats", "state", "broken"),
        ("final_orders", "state", "paid"),
        ("final_ledger", "entry", "chargeback"),
    ],
)
def test_a_record_that_the_schema_does_not_allow_is_bad_input(table: str, column: str, value: str) -> None:
    builder = RunBuilder(fans=20)
    row = next(r for r in builder.tables[table] if table != "operations" or r["function"] == "hold")
    row[column] = value
    with pytest.raises(InputError):
        audit(builder.record())


def test_a_record_in_another_order_is_judged_the_same() -> None:
    for breakage in (None, RunBuilder.double_sell, RunBuilder.expire_early, RunBuilder.regress_position):
        builder = RunBuilder(fans=30)
        if breakage:
            breakage(builder)
        before = audit(builder.record())
        for rows in builder.tables.values():
            random.Random(4).shuffle(rows)
        assert [(r.name, r.status, r.violations_total) for r in audit(builder.record())] == [
            (r.name, r.status, r.violations_total) for r in before
        ]


def test_a_record_that_lacks_operations_is_never_judged_as_if_whole() -> None:
    builder = RunBuilder(fans=20)
    del builder.tables["operations"][7]
    results = [result for result in audit(builder.record()) if result.name in SHOWN]
    assert {result.status for result in results} == {Status.UNKNOWN}
    assert {result.note[:40] for result in results} == {"1 operations are missing from the record"}
    violated = audit(builder.double_charge().record())
    assert [r.name for r in violated if r.status is Status.VIOLATED] == ["money_reconciles"]


def test_the_rows_of_two_runs_in_one_record_are_refused() -> None:
    builder = RunBuilder(fans=20)
    builder.tables["operations"] += RunBuilder(fans=3, seed=2).tables["operations"]
    with pytest.raises(InputError, match="the rows of several runs are mixed"):
        audit(builder.record())


def test_a_hundred_thousand_correct_operations_raise_nothing() -> None:
    builder = empty()
    template = RunBuilder(fans=30, faulty=False, spectators=0)
    enough = 100_000 // len(template.tables["operations"]) + 1
    for copy in range(enough):
        for name in ("operations", "final_seats", "final_orders", "final_ledger"):
            builder.tables[name] += [_renamed(row, copy) for row in template.tables[name]]
    for number, row in enumerate(builder.tables["operations"]):
        row["op"] = number
    record = builder.record()
    assert record.table("operations").num_rows >= 100_000
    results = {result.name: result for result in audit(record)}
    assert results["no_double_sell"].status is Status.HELD
    assert results["money_reconciles"].status is Status.HELD


def _renamed(row: dict[str, object], copy: int) -> dict[str, object]:
    """The same row in another on-sale: its fans, seats and orders are others."""
    text = msgspec.json.encode(row).decode()
    for word in ("fan-", "order-", "hold-", "key-", "charge-", "101-", "102-", "103-"):
        text = text.replace(word, f"{copy}.{word}")
    return msgspec.json.decode(text)


def with_standing(onsale: RunBuilder) -> RunBuilder:
    """Some fans more, who go for tickets without a seat: kept and left alone, given back, refused, bought."""
    pool, user = {"pool": "standing", "quantity": 2}, onsale.fans
    for at, end in enumerate(("left", "back", "refused", "bought")):
        fan, begin_s = user + at, 30.0 + at
        key = "" if end == "refused" else f"standing-{at}"
        value = pool if end == "refused" else {**pool, "granted": 2, "ttl_s": 8.0}
        how = ("fail", "conflict") if end == "refused" else ("ok", "")
        onsale.operation(fan, "hold", key, value, begin_s, begin_s + 0.1, *how)
        if end == "back":
            onsale.operation(fan, "release", key, pool, begin_s + 1, begin_s + 1.1)
        elif end == "bought":
            value = {**pool, "hold_id": key, "order_id": "standing", "amount_cents": 9000, "state": "confirmed"}
            value |= {"bought": 2, "shown_cents": 9000}
            onsale.operation(fan, "pay", "k-standing", value, begin_s + 1, begin_s + 1.1)
            row = {"order_id": "standing", "fan": f"fan-{fan:04d}", "seat": "", "state": "confirmed"}
            row |= {"amount_cents": 9000, "idempotency_key": "k-standing", "pool": "standing", "quantity": 2}
            onsale.tables["final_orders"].append(row)
            row = {"charge_id": "c-standing", "idempotency_key": "p", "order_id": "standing", "entry": "capture"}
            onsale.tables["final_ledger"].append({**row, "amount_cents": 9000})
    return onsale


@pytest.mark.parametrize("seed", range(4))
def test_tickets_without_seats_change_nothing_of_what_is_said_of_the_seats(seed: int) -> None:
    onsale = RunBuilder(seed=seed, faulty=seed % 2 == 1)
    before = {one.name: one for one in audit(onsale.record())}
    after = {one.name: one for one in audit(with_standing(onsale).record())}
    of_seats = [name for name in SHOWN if INVARIANTS[name].needs == ("seats",)]
    assert {name: (after[name].status, after[name].chances) for name in of_seats} == {
        name: (before[name].status, before[name].chances) for name in of_seats
    }
