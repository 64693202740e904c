"""admission_rate: a token bucket seen through delays is never flagged, a flood always is; and pair by pair."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

RATE_PER_S, BURST = 10.0, 5
Seen = tuple[float, float]  # surely still waiting, surely admitted


def admitted(
    *fans: Seen,
    rate_per_s: float = RATE_PER_S,
    burst: int = BURST,
    second_epoch_from: int | None = None,
    **on_sale: object,
) -> RunBuilder:
    """Fans in the order of their admission numbers, which begin at 1, and again at 1 with the second epoch."""
    builder = empty()
    builder.fans = len(fans)
    for user, (waiting_s, told_s) in enumerate(fans):
        builder.operation(user, "join", f"fan-{user:04d}", {}, -50.0, -49.9)
        for sent_s in (waiting_s, waiting_s + 0.001):
            builder.event(user, "positions", "position", sent_s, "e1", value=1, t_sent_s=sent_s)
        builder.event(user, "positions", "admitted", told_s)
        lost = second_epoch_from if second_epoch_from is not None and user >= second_epoch_from else 0
        value = {"admission_no": user - lost + 1, "epoch": "b" if lost == 0 else "a"}
        builder.operation(user, "enter", f"fan-{user:04d}", value, told_s, told_s + 0.1)
    scenario = msgspec.to_builtins(builder.scenario())
    scenario["on_sale"] |= {"admission_rate_per_s": rate_per_s, "admission_burst": burst, **on_sale}
    return builder.changed(scenario=scenario)


def rate(builder: RunBuilder) -> InvariantResult:
    return judged("admission_rate", builder)


delay = st.floats(0.002, 3.0, allow_nan=False)


@settings(max_examples=100, deadline=None)
@given(waits=st.lists(st.tuples(st.floats(0, 0.3, allow_nan=False), delay, delay), min_size=1, max_size=40))
def test_a_token_bucket_is_never_flagged_however_late_fans_hear_of_it(waits: list[tuple[float, float, float]]) -> None:
    tokens, now_s, fans = float(BURST), 0.0, []
    for pause_s, before_s, after_s in waits:
        now_s += pause_s
        tokens = min(BURST, tokens + pause_s * RATE_PER_S)
        if tokens < 1:
            wait_s = (1 - tokens) / RATE_PER_S + 1e-9
            now_s, tokens = now_s + wait_s, 1.0
        tokens -= 1
        fans.append((now_s - before_s, now_s + after_s))
    result = rate(admitted(*fans))
    assert result.violations_total == 0
    assert result.status in (Status.HELD, Status.NOT_EXERCISED)


@settings(max_examples=60, deadline=None)
@given(blur_s=st.floats(0.01, 1.0), extra=st.integers(2, 20), spread=st.integers(0, 10))
def test_a_flood_is_flagged_when_it_exceeds_what_its_blurred_length_allows(
    blur_s: float, extra: int, spread: int
) -> None:
    """All at once at 5 s; each fan is known to wait until a moment before, and told a moment after."""
    flood = int(BURST + RATE_PER_S * 2 * blur_s) + extra
    quiet = [(float(at) - 20.0, float(at) - 19.9) for at in range(spread)]
    assert rate(admitted(*quiet, *[(5.0 - blur_s, 5.0 + blur_s)] * flood)).status is Status.VIOLATED


seen = st.lists(
    st.tuples(st.floats(0, 6, allow_nan=False), st.floats(0.002, 2, allow_nan=False)), min_size=1, max_size=25
)


@settings(max_examples=200, deadline=None)
@given(
    seen=seen,
    rate_per_s=st.sampled_from([0.5, 2.0, 8.0]),
    burst=st.integers(1, 6),
    lost=st.none() | st.integers(1, 25),
)
def test_it_finds_what_comparing_all_pairs_finds(
    seen: list[tuple[float, float]], rate_per_s: float, burst: int, lost: int | None
) -> None:
    """Whether or not the numbers begin again at some fan: the worst stretch may reach over that."""
    fans = [(start_s, start_s + length_s) for start_s, length_s in sorted(seen)]
    if lost is not None and lost < len(fans):  # it is seen which epoch came first
        before, again = fans[:lost], fans[lost:]
        assume(min(f[1] for f in before) < min(max(f[0] for f in again), *(f[1] for f in again)))
    result = rate(admitted(*fans, rate_per_s=rate_per_s, burst=burst, second_epoch_from=lost))
    after = [max(fan[0] for fan in fans[: n + 1]) for n in range(len(fans))]
    until = [min(fan[1] for fan in fans[n:]) for n in range(len(fans))]
    if any(a > b for a, b in zip(after, until, strict=True)):
        assert (result.status, result.note[:18]) == (Status.UNKNOWN, "admission numbers ")
        return
    beyond = max(
        b - a + 1 - burst - rate_per_s * (until[b] - after[a]) for a in range(len(fans)) for b in range(a, len(fans))
    )
    if abs(beyond) > 1e-6:
        exercised = Status.HELD if len(fans) > burst else Status.NOT_EXERCISED
        assert result.status is (Status.VIOLATED if beyond > 0 else exercised)
    assert result.chances == max(0, len(fans) - burst)  # all of them had joined long before


def test_the_history_shows_both_ends_and_the_limit() -> None:
    violation = rate(admitted(*[(1.0, 1.5)] * 12)).violations[0]
    assert violation.summary == "12 fans were admitted within 0.50 s; at 10 per s and a burst of 5 at most 10 may be"
    assert [(step.actor, step.t_s) for step in violation.history] == [("fan-0000", 1.0), ("fan-0011", 1.5)]


def test_a_burst_on_both_sides_of_a_loss_is_one_burst() -> None:
    """12 in half a second, where 10 may be: 6 of them before the numbers begin again, and 6 after."""
    result = rate(admitted(*[(1.0, 1.2)] * 6, *[(1.3, 1.5)] * 6, second_epoch_from=6))
    assert result.violations[0].summary.startswith("12 fans were admitted within 0.50 s")
    assert result.violations[0].history[1].text.startswith("admission no. 6 of a later epoch was given by now")


def test_epochs_of_which_nobody_saw_which_came_first_tell_no_order() -> None:
    result = rate(admitted(*[(1.0, 1.5)] * 12, second_epoch_from=6))
    assert (result.status, result.note[:23]) == (Status.UNKNOWN, "the numbers began again")


def test_who_joined_only_when_the_line_had_gone_was_no_chance() -> None:
    builder = admitted(*[(float(at), at + 0.5) for at in range(12)])
    for number, row in enumerate(row for row in builder.tables["operations"] if row["function"] == "join"):
        row |= {"t_invoke_s": number - 0.2, "t_complete_s": number - 0.1}
    assert (rate(builder).status, rate(builder).chances) == (Status.NOT_EXERCISED, 0)


def test_a_call_before_a_loss_is_void_when_the_door_says_wait_after_it() -> None:
    builder = admitted(*[(1.0, 1.5)] * 6, second_epoch_from=5)
    builder.operation(5, "enter", "fan-0005", {"admission_no": None}, 1.52, 1.55, "fail", "waiting")
    for row in builder.tables["operations"]:
        if row["function"] == "enter" and row["actor"] == "fan-0005" and row["outcome"] == "ok":
            row |= {"t_invoke_s": 9.0, "t_complete_s": 9.1}
    builder.event(5, "positions", "position", 8.0, "e2", value=1, t_sent_s=8.0)
    builder.event(5, "positions", "position", 8.1, "e2", value=1, t_sent_s=8.1)
    assert rate(builder).status is Status.HELD
    builder.tables["operations"] = [row for row in builder.tables["operations"] if row["error"] != "waiting"]
    for number, row in enumerate(builder.tables["operations"]):
        row["op"] = number
    builder.tables["events"] = [row for row in builder.tables["events"] if row["t_s"] < 8.0]
    assert rate(builder).violations_total == 0


def test_with_an_adaptive_rate_the_ceiling_is_the_limit() -> None:
    adaptive = {"admission": "adaptive", "admission_ceiling_per_s": 20.0}
    assert rate(admitted(*[(1.0, 1.5)] * 12, **adaptive)).status is Status.HELD


def test_a_stamp_from_the_future_shows_that_the_clock_of_the_platform_is_ahead() -> None:
    builder = admitted(*[(1.0, 3.0)] * 12)
    assert rate(builder).status is Status.HELD
    for row in builder.tables["events"]:
        if row["event"] == "position":
            row["t_sent_s"] = float(str(row["t_sent_s"])) + 1.9
    assert rate(builder).status is Status.HELD


def test_numbers_that_were_given_twice_tell_no_order() -> None:
    builder = admitted((1.0, 1.5), (1.0, 1.5))
    builder.tables["operations"][-1]["value"] = '{"admission_no": 1, "epoch": "b"}'
    assert (rate(builder).status, rate(builder).note[:27]) == (Status.UNKNOWN, "admission numbers were give")


@pytest.mark.parametrize(
    ("changes", "status"), [({"stack": "https://tickets.example"}, Status.NOT_OBSERVABLE), ({}, Status.UNKNOWN)]
)
def test_nothing_to_see_is_no_pass(changes: dict[str, object], status: Status) -> None:
    assert rate(admitted().changed(**changes)).status is status
