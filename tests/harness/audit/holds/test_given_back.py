"""refused_for_cause, of seats that an identity gave back and asks for again: against a ledger, and case by case."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.schema import FaultRun
from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

TTL_S = 8.0
LIMIT = 4
ROW = tuple(f"101-A-{number}" for number in range(1, 5))


def hold(
    builder: RunBuilder, fan: int, t_s: float, seats: tuple[str, ...], error: str = "", *, identity: str = "ann"
) -> str:
    """Granted where there is no error; answered 0.1 s later. Returns the hold's name."""
    value: dict[str, object] = {"seats": list(seats)} | ({} if error else {"ttl_s": TTL_S})
    key = "" if error else f"h-{len(builder.tables['operations'])}"
    builder.operation(fan, "hold", key, value, t_s, t_s + 0.1, "fail" if error else "ok", error, identity=identity)
    return key


def release(builder: RunBuilder, fan: int, t_s: float, key: str, seats: tuple[str, ...], outcome: str = "ok") -> None:
    builder.operation(fan, "release", key, {"seats": list(seats)}, t_s, t_s + 0.1, outcome, identity="ann")


def found(builder: RunBuilder) -> InvariantResult:
    return judged("refused_for_cause", builder)


asked = st.lists(st.tuples(st.sampled_from(["hold", "release"]), st.integers(1, LIMIT)), max_size=14)


@settings(max_examples=150, deadline=None)
@given(asked=asked, forgets=st.booleans())
def test_it_finds_who_is_refused_for_what_was_given_back(asked: list[tuple[str, int]], forgets: bool) -> None:
    """The platform counts what is held, or all that ever was; a step every 0.3 s, so that no hold runs out."""
    builder = empty()
    held: list[tuple[str, tuple[str, ...]]] = []
    ever = wrong = due = 0
    for at, (verb, count) in enumerate(asked):
        now = sum(len(seats) for _, seats in held)
        if verb == "release":
            if held:
                release(builder, 1, 0.3 * at, *held.pop(0))
            continue
        seats = tuple(f"101-{at}-{number}" for number in range(count))
        beyond = ever + count > LIMIT >= now + count
        if (now if forgets else ever) + count <= LIMIT:
            held.append((hold(builder, 1, 0.3 * at, seats), seats))
            ever += count
            due += beyond
        else:
            hold(builder, 1, 0.3 * at, seats, "limit")
            wrong += beyond
    result = found(builder)
    assert result.violations_total == wrong
    assert result.chances >= due
    assert (result.chances == 0) is (due == 0 and not any(row["error"] for row in builder.tables["operations"]))


@pytest.mark.parametrize("other", [1, 2], ids=["the same fan", "another fan of the same person"])
def test_what_was_given_back_counts_no_longer(other: int) -> None:
    builder = empty()
    key = hold(builder, 1, 0.0, ROW)
    release(builder, 1, 1.0, key, ROW)
    hold(builder, other, 2.0, ROW, "limit")
    result = found(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == (
        "ann was refused 4 seats for the limit of 4, and had 0 at most: what it had given back still counts"
    )
    assert len(result.violations[0].history) == 2


def test_what_ran_out_and_is_granted_again_is_a_chance() -> None:
    builder = empty()
    hold(builder, 1, 0.0, ROW)
    hold(builder, 1, 10.0, ROW)
    assert (found(builder).status, found(builder).chances) == (Status.HELD, 1)


@pytest.mark.parametrize(
    ("released_s", "outcome", "fault_s"),
    [(None, "", None), (2.05, "ok", None), (1.0, "unknown", None), (1.0, "fail", None), (1.0, "ok", (1.5, 1.8))],
    ids=["kept", "given back meanwhile", "perhaps given back", "not given back", "given back, and perhaps lost"],
)
def test_what_may_still_be_theirs_explains_the_refusal(
    released_s: float | None, outcome: str, fault_s: tuple[float, float] | None
) -> None:
    builder = empty()
    if fault_s:
        from_s, to_s = fault_s
        kill = FaultRun(
            experiment="redis-kill", component="redis", kind="kill", injector="process", hypothesis="", runbook="",
            t_requested_s=from_s, t_effective_s=from_s, t_heal_requested_s=to_s, t_healed_s=to_s, proven=True,
        )  # fmt: skip
        builder.faults = msgspec.structs.replace(builder.faults, faults=(kill,))
    key = hold(builder, 1, 0.0, ROW)
    if released_s is not None:
        release(builder, 1, released_s, key, ROW, outcome)
    hold(builder, 1, 2.0, ROW, "limit")
    assert found(builder).violations_total == 0


def test_what_was_bought_counts_for_ever() -> None:
    builder = empty()
    key = hold(builder, 1, 0.0, ROW)
    paid = {"hold_id": key, "seats": list(ROW), "order_id": "o", "state": "confirmed"}
    builder.operation(1, "pay", "k", paid, 1.0, 1.1, identity="ann")
    hold(builder, 1, 2.0, ROW[:1], "limit")
    assert found(builder).violations_total == 0


def given_back(**rules: int) -> RunBuilder:
    """On a platform of somebody's own: three seats are held, given back, and asked for again in vain."""
    builder = empty().changed(stack="https://tickets.example")
    builder.changed(scenario=builder.run.scenario | {"platform": {"rules": rules}})
    release(builder, 1, 1.0, hold(builder, 1, 0.0, ROW[:3]), ROW[:3])
    hold(builder, 1, 8.0, ROW[:3], "limit")
    return builder


def test_what_an_order_limit_or_tickets_without_seats_explain_was_no_wrong_count() -> None:
    assert found(given_back(purchase_limit=4)).violations_total == 1
    assert found(given_back(purchase_limit=4, order_limit=3)).violations_total == 1
    assert found(given_back(purchase_limit=4, order_limit=2)).violations_total == 0
    builder = given_back(purchase_limit=4)
    value = {"pool": "standing", "quantity": 2, "ttl_s": TTL_S}
    builder.operation(1, "hold", "h", value, 2.0, 2.1, identity="ann")
    assert found(builder).violations_total == 0
