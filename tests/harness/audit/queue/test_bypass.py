"""no_queue_bypass: each way to a hold, honest or not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged


def bypass(builder: RunBuilder) -> InvariantResult:
    return judged("no_queue_bypass", builder)


def came(
    builder: RunBuilder, fan: int, *, join: str = "ok", enter: str = "ok", hold: str = "ok", ticket: str = ""
) -> None:
    """How far a fan came; "" leaves a step out."""
    name = f"fan-{fan:04d}"
    steps = (
        ("join", name, join, {"position": 1, "ticket": ticket}),
        ("enter", name, enter, {"admission_no": fan}),
        ("hold", f"h-{fan}", hold, {"seats": [f"101-A-{fan}"], "ttl_s": 8.0}),
    )
    for at, (function, key, outcome, value) in enumerate(steps):
        if outcome:
            t_s = fan * 10.0 + at
            builder.operation(fan, function, key, value, t_s, None if outcome == "unknown" else t_s + 0.5, outcome)


def probed(builder: RunBuilder, way: str, outcome: str) -> None:
    builder.operation(0, "probe", way, {"seats": ["101-B-1"]}, 90.0, 90.1, outcome, actor="prober")


outcomes = st.sampled_from(["", "ok", "fail", "unknown"])
fans = st.lists(st.tuples(outcomes, outcomes, outcomes, st.sampled_from(["", "replayed", "tampered"])), max_size=10)


@settings(max_examples=150, deadline=None)
@given(fans=fans, probes=st.lists(st.sampled_from(["ok", "fail"]), min_size=1, max_size=4))
def test_it_counts_each_hold_that_nobody_queued_for(fans: list[tuple[str, str, str, str]], probes: list[str]) -> None:
    builder = empty()
    for fan, (join, enter, hold, ticket) in enumerate(fans):
        came(builder, fan, join=join, enter=enter, hold=hold, ticket=ticket)
    for outcome in probes:
        probed(builder, "no pass", outcome)
    wrong = sum(
        hold == "ok" and not (join == "ok" and enter == "ok" and not ticket) for join, enter, hold, ticket in fans
    )
    tries = len(probes) + sum(bool(ticket) and join in ("ok", "fail") for join, _, _, ticket in fans)
    result = bypass(builder)
    assert (result.violations_total, result.chances) == (wrong + probes.count("ok"), tries)
    assert result.status is (Status.VIOLATED if result.violations_total else Status.HELD)


@pytest.mark.parametrize(
    ("how", "summary"),
    [
        ({"enter": ""}, "fan-0001 was granted a hold without a pass"),
        ({"join": ""}, "fan-0001 was admitted without a place in the queue"),
        ({"ticket": "replayed"}, "fan-0001 got to a hold with a replayed ticket"),
    ],
)
def test_each_way_is_named(how: dict[str, str], summary: str) -> None:
    builder = empty()
    came(builder, 1, **how)
    assert bypass(builder).violations[0].summary == summary


def test_a_probe_that_works_says_which() -> None:
    builder = empty()
    probed(builder, "tampered pass", "ok")
    violation = bypass(builder).violations[0]
    assert violation.summary == "the queue can be bypassed: tampered pass"
    assert violation.history[0].text == "prober tried it (tampered pass) and was granted 101-B-1"


def test_a_pass_must_come_before_the_hold() -> None:
    builder = empty()
    came(builder, 1, enter="")
    builder.operation(1, "enter", "fan-0001", {"admission_no": 1}, 50.0, 50.1)
    probed(builder, "no pass", "fail")
    assert bypass(builder).status is Status.VIOLATED


def test_a_forged_ticket_that_gets_nobody_in_does_no_harm() -> None:
    builder = empty()
    came(builder, 1, join="fail", enter="", hold="", ticket="tampered")
    came(builder, 2, ticket="")
    result = bypass(builder)
    assert (result.status, result.note) == (Status.HELD, "1 attempts to get past the queue, besides what fans did")


def test_an_honest_place_makes_good_for_an_earlier_forgery() -> None:
    builder = empty()
    came(builder, 1, enter="", hold="", ticket="replayed")
    came(builder, 1)
    assert bypass(builder).status is Status.HELD


def test_a_probe_that_was_refused_only_the_seats_had_got_in() -> None:
    builder = empty()
    value = {"seats": ["101-B-1"], "status": 409}
    builder.operation(0, "probe", "expired pass", value, 90.0, 90.1, actor="prober")
    violation = bypass(builder).violations[0]
    assert violation.summary == "the queue can be bypassed: expired pass"
    told = "prober tried it (expired pass) and got past the entrance: the answer, 409, is about the seats"
    assert violation.history[0].text == told


def test_where_nobody_tried_it_was_not_put_to_the_test() -> None:
    builder = empty()
    came(builder, 1)
    result = bypass(builder)
    assert (result.status, result.chances) == (Status.NOT_EXERCISED, 0)


def test_a_probe_without_an_answer_is_unknown() -> None:
    builder = empty()
    builder.operation(0, "probe", "no pass", {"seats": []}, 90.0, None, "unknown", "timeout", actor="prober")
    result = bypass(builder)
    assert (result.status, result.unknowns) == (Status.UNKNOWN, 1)


def with_code(builder: RunBuilder, fan: int, code: str, *, let_in: bool, join: str = "ok", ticket: str = "") -> None:
    name, t_s = f"fan-{fan:04d}", fan * 10.0
    value = {"code": code, "ticket": ticket, "position": 1 if join == "ok" else None}
    error = "" if join == "ok" else "turned_away"
    builder.operation(fan, "join", name, value, t_s, None if join == "unknown" else t_s + 0.5, join, error)
    if let_in:
        builder.operation(fan, "enter", name, {"admission_no": fan}, t_s + 1, t_s + 1.5)
        builder.operation(fan, "hold", f"h-{fan}", {"seats": [f"101-A-{fan}"], "ttl_s": 8.0}, t_s + 2, t_s + 2.5)


def test_an_access_code_lets_one_fan_in() -> None:
    builder = empty()
    with_code(builder, 1, "a1", let_in=True)
    with_code(builder, 2, "a1", let_in=False, join="fail")
    with_code(builder, 3, "a1", let_in=False, join="unknown")
    with_code(builder, 4, "b2", let_in=True)
    result = bypass(builder)
    assert (result.status, result.chances) == (Status.HELD, 1)
    with_code(builder, 5, "a1", let_in=True)
    result = bypass(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == "2 fans were let in with the access code a1, which lets one in"
    assert [step.actor for step in result.violations[0].history] == ["fan-0001", "fan-0001", "fan-0005", "fan-0005"]


def test_an_invented_code_lets_nobody_in() -> None:
    builder = empty()
    with_code(builder, 1, "zz", let_in=False, join="fail", ticket="invented code")
    assert (bypass(builder).status, bypass(builder).chances) == (Status.UNKNOWN, 1)  # nobody was granted anything
    with_code(builder, 2, "zz", let_in=True, ticket="invented code")
    result = bypass(builder)
    assert [one.summary for one in result.violations] == ["fan-0002 got to a hold with an invented code"]


@pytest.mark.parametrize(("places", "status"), [(0, Status.HELD), (1, Status.VIOLATED)])
def test_an_identity_lets_one_fan_in_where_the_sale_says_so(places: int, status: Status) -> None:
    builder = empty()
    scenario = dict(builder.run.scenario)
    scenario["on_sale"] = dict(scenario["on_sale"]) | {"places_per_identity": places}  # type: ignore[call-overload]
    builder.changed(scenario=scenario)
    came(builder, 1)
    came(builder, 2)
    came(builder, 3, join="fail", enter="", hold="")
    for row in builder.tables["operations"]:
        row["identity"] = "ann"
    probed(builder, "no pass", "fail")
    result = bypass(builder)
    assert (result.status, result.chances) == (status, 1 + 2 * places)
