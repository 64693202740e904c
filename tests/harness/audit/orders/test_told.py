"""What fans were told, against its definition pair by pair, and case by case."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, judged

SEAT = "104-C-12"
NO = {"declined", "expired", "refunded"}


def told(builder: RunBuilder) -> InvariantResult:
    return judged("no_lost_booking", builder)


def pays(builder: RunBuilder, t_s: float, answer: str, *, took_s: float = 0.1, fan: int = 1) -> None:
    """A payment with the key of order a, and what came back: a state, a refusal or nothing."""
    value: dict[str, object] = {"hold_id": "h", "seats": [SEAT]}
    if answer in ("confirmed", "pending"):
        value |= {"order_id": "a", "amount_cents": 5000, "state": answer}
        builder.operation(fan, "pay", "k-a", value, t_s, t_s + took_s)
    elif answer == "unknown":
        builder.operation(fan, "pay", "k-a", value, t_s, None, "unknown", "timeout")
    else:
        builder.operation(fan, "pay", "k-a", value, t_s, t_s + took_s, "fail", answer)


def looks(builder: RunBuilder, t_s: float, state: str, *, took_s: float = 0.1, stale: bool = False) -> None:
    value = {"state": state, "seats": [SEAT], "amount_cents": 5000} | ({"stale": True} if stale else {})
    builder.operation(1, "order", "a", value, t_s, t_s + took_s)


# Each word: invoked at, took, payment or look-up, what was said.
word = st.tuples(
    st.floats(0, 20),
    st.floats(0.01, 5),
    st.one_of(
        st.tuples(
            st.just("pay"), st.sampled_from(["confirmed", "pending", "declined", "expired", "status", "unknown"])
        ),
        st.tuples(
            st.just("look"), st.sampled_from(["confirmed", "pending", "stale", "declined", "expired", "refunded"])
        ),
    ),
)


@settings(max_examples=400, deadline=None)
@given(words=st.lists(word, max_size=7), rest=st.sampled_from(["confirmed", "declined", "refunded"]))
def test_it_is_violated_exactly_when_two_words_contradict_each_other(
    words: list[tuple[float, float, tuple[str, str]]], rest: str
) -> None:
    builder = empty()
    for t_s, took_s, (how, what) in words:
        if how == "pay":
            pays(builder, t_s, what, took_s=took_s)
        else:
            looks(builder, t_s, what.replace("stale", "pending"), took_s=took_s, stale=what == "stale")
    exported(builder, 1, SEAT, "a", rest)
    result = told(builder)
    assert (result.status is Status.VIOLATED) is _contradictory(words, rest)


def _contradictory(words: list[tuple[float, float, tuple[str, str]]], rest: str) -> bool:
    """By trying every pair, the state at rest among them."""
    tries = [t for t, _, (how, what) in words if how == "pay" and what in ("confirmed", "pending", "unknown")]
    said = [(t, t + took_s, how, what) for t, took_s, (how, what) in words if what not in ("unknown", "stale")]
    said = [one for one in said if one[2:] != ("pay", "pending")]
    said.append((99.0, 99.0, "rest", rest))
    for _, first_end, how, first in said:
        for second_start, _, _, second in said:
            asked_again = any(first_end < t for t in tries)
            if first == "status":
                if not tries and second_start == 99.0 and second == "confirmed":
                    return True
            elif first_end < second_start:
                if first == "confirmed" and second in NO | {"pending"}:
                    return True
                if first in NO and second == "confirmed" and not asked_again and how != "rest":
                    return True
    return False


def test_a_no_after_a_yes_is_violated_even_if_the_fan_asks_again_and_gets_another_yes() -> None:
    builder = empty()
    for t_s, answer in enumerate(("confirmed", "declined", "confirmed")):
        pays(builder, float(t_s), answer)
    exported(builder, 1, SEAT, "a", "confirmed")
    result = told(builder)
    assert result.status is Status.VIOLATED
    assert result.violations[0].summary == "fan-0001 was told that order a is confirmed, and later that it is declined"


@pytest.mark.parametrize("answer", ["declined", "expired"])
def test_a_payment_that_was_refused_has_no_ticket_at_rest(answer: str) -> None:
    builder = empty()
    pays(builder, 1.0, answer)
    exported(builder, 1, SEAT, "a")
    violation = told(builder).violations[0]
    assert violation.summary == f"fan-0001 was told that order a is {answer}, but it is confirmed at rest"
    assert [step.text for step in violation.history] == [
        f"fan-0001 was told that order a is {answer}",
        f"order a of fan-0001 is confirmed for seat {SEAT}",
    ]


@pytest.mark.parametrize("state", ["declined", "expired", "refunded", "pending"])
def test_a_ticket_is_not_taken_back_at_a_later_look(state: str) -> None:
    builder = empty()
    pays(builder, 1.0, "confirmed")
    looks(builder, 2.0, state)
    exported(builder, 1, SEAT, "a")
    summary = f"fan-0001 was told that order a is confirmed, and later that it is {state}"
    assert [violation.summary for violation in told(builder).violations] == [summary]


def test_a_look_that_says_it_is_behind_contradicts_nothing() -> None:
    builder = empty()
    pays(builder, 1.0, "confirmed")
    looks(builder, 2.0, "pending", stale=True)
    exported(builder, 1, SEAT, "a")
    assert told(builder).status is Status.HELD


def test_an_order_that_expired_may_be_refunded_later() -> None:
    builder = empty()
    pays(builder, 1.0, "pending")
    looks(builder, 2.0, "expired")
    looks(builder, 3.0, "refunded")
    exported(builder, 1, SEAT, "a", "refunded")
    pays(builder, 4.0, "expired")
    assert told(builder).status is Status.HELD


@pytest.mark.parametrize(("first", "status"), [("declined", Status.HELD), ("confirmed", Status.VIOLATED)])
def test_a_no_is_taken_back_only_when_the_fan_asks_again(first: str, status: Status) -> None:
    builder = empty()
    second = "confirmed" if first == "declined" else "declined"
    pays(builder, 1.0, first)
    pays(builder, 2.0, second)
    exported(builder, 1, SEAT, "a")
    assert told(builder).status is status


def test_a_refused_request_may_have_gone_through_in_another_try() -> None:
    builder = empty()
    pays(builder, 1.0, "status")
    exported(builder, 1, SEAT, "a")
    assert told(builder).status is Status.VIOLATED
    pays(builder, 0.5, "unknown")
    assert told(builder).violations == ()


def test_a_payment_that_is_posted_again_may_be_answered_in_progress() -> None:
    builder = empty()
    pays(builder, 1.0, "confirmed")
    pays(builder, 2.0, "pending")
    exported(builder, 1, SEAT, "a")
    assert told(builder).status is Status.HELD
