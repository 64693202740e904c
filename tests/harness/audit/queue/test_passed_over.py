"""Fans who listen and are never called in, though others are who joined later: `place_kept` tells of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.audit.history import Evidence
from harness.audit.queue.epochs import line_of
from harness.audit.queue.passed_over import AWAY_MAX_S, Listening, listening
from harness.record.verdict import Status
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

LINE = "e1"


def comes(builder: RunBuilder, fan: int, joins_s: float, enters_s: float | None, epoch: str = LINE) -> None:
    """A fan joins, listens from then on, and is let in; null: never."""
    builder.operation(fan, "join", "", {"position": fan, "epoch": f"{epoch}.0"}, joins_s, joins_s + 0.1)
    builder.event(fan, "positions", "connect", joins_s + 0.2)
    builder.event(fan, "positions", "position", joins_s + 0.3, epoch=f"{epoch}.0", value=fan)
    if enters_s is not None:
        builder.event(fan, "positions", "admitted", enters_s - 0.1)
        builder.operation(fan, "enter", "", {"admission_no": fan, "epoch": epoch}, enters_s, enters_s + 0.1)


def line(*, late_joins_s: float = 10.0, late_epoch: str = LINE, until_s: float | None = 26.0) -> RunBuilder:
    """Fan 1 is let in, fan 2 waits until then, fan 3 comes later and is let in at T+20 s."""
    builder = empty()
    builder.fans = 4
    comes(builder, 1, 0.0, 5.0)
    comes(builder, 2, 1.0, None)
    comes(builder, 3, late_joins_s, 20.0, late_epoch)
    if until_s is not None:
        builder.event(2, "positions", "disconnect", until_s)
    return builder


def found(builder: RunBuilder) -> list[str]:
    result = judged("place_kept", builder)
    assert (result.status is Status.VIOLATED) == bool(result.violations)
    return [one.summary for one in result.violations]


def test_a_fan_who_waits_to_the_end_is_overtaken_by_one_who_joined_later() -> None:
    builder = line()
    assert found(builder) == [
        "fan-0002 lost the place: fan-0003, who joined later, was admitted, and fan-0002 never was"
    ]
    (violation,) = judged("place_kept", builder).violations
    assert [step.text for step in violation.history] == [
        "fan-0002 was told the queue has them",
        "fan-0002 had a place",
        "fan-0003 joined after that",
        "fan-0003 was admitted as no. 3",
        "fan-0002 still waited",
    ]


@pytest.mark.parametrize(
    "builder",
    [
        line(late_joins_s=1.05),  # both asked at once
        line(late_joins_s=1.15),  # before the stream of the fan who waits was open
        line(until_s=22.0),  # the call may have been on its way
        line(until_s=None),  # nobody knows how long the fan listened after the last place
        line(late_epoch="e2"),  # a line that began again
    ],
)
def test_who_may_have_been_called_in_or_may_have_been_away_was_not_overtaken(builder: RunBuilder) -> None:
    assert found(builder) == []


def test_a_fan_who_was_away_may_be_passed_over() -> None:
    builder = line()
    builder.event(2, "positions", "disconnect", 11.0)
    builder.event(2, "positions", "connect", 21.0)
    assert found(builder) == []


def test_a_stream_that_is_opened_again_at_once_is_no_absence() -> None:
    builder = line()
    builder.event(2, "positions", "disconnect", 11.0)
    builder.event(2, "positions", "connect", 12.0)
    assert len(found(builder)) == 1


@pytest.mark.parametrize("how", ["ok", "unknown"])
def test_who_tried_to_come_in_may_have_been_called(how: str) -> None:
    builder = line()
    builder.operation(2, "enter", "", {}, 25.0, 25.5, how, "" if how == "ok" else "timeout")
    assert found(builder) == []


def test_a_call_that_a_fault_may_have_lost_says_nothing() -> None:
    builder = RunBuilder(fans=0, spectators=0)  # its first fault is in force from T+6 s to T+10 s
    for name in ("requests", "operations", "events", "final_seats", "metrics", "generator"):
        builder.tables[name].clear()
    builder.fans = 4
    comes(builder, 2, 1.0, None)
    comes(builder, 3, 3.0, 7.0)
    builder.event(2, "positions", "disconnect", 12.0)
    assert found(builder) == []


def test_a_call_that_was_read_late_because_the_generator_stood_still_says_nothing() -> None:
    builder = line(until_s=27.9)
    row = {"worker": 0, "loop_lag_ms_max": 6.0, "loop_lag_ms_p99": 3.0, "cpu_percent": 40.0, "rss_bytes": 9}
    row |= {"fds": 1, "fds_limit": 99, "users": 3, "samples": 1}
    builder.tables["generator"] += [row | {"t_s": float(t_s)} for t_s in (*range(21), *range(27, 50))]
    assert found(builder) == []


@pytest.mark.parametrize(("told_late", "passed_over"), [(40, 0), (0, 1), (1, 1)])
def test_a_platform_that_tells_of_calls_late_may_be_late_with_any_call(told_late: int, passed_over: int) -> None:
    """Of 120 fans some hear 4 s after a later one came in that they may; fan 0 left 5 s after that, uncalled."""
    builder = empty()
    builder.fans = 121
    comes(builder, 0, 0.0, None)
    for fan in range(1, 120):
        comes(builder, fan, fan * 0.05, 24.0 if fan <= told_late else 20.0)
    comes(builder, 120, 10.0, 20.0)
    builder.event(0, "positions", "disconnect", 25.0)
    assert len(found(builder)) == passed_over


News = tuple[int, str, int, str]
"""Fan, event, when in s, and epoch."""
events = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.sampled_from(["connect", "position", "disconnect", "refused", "paused"]),
        st.integers(0, 20),
        st.sampled_from(["", "e1", "e1.2", "e2"]),
    ),
    max_size=25,
)


def plainly(news: list[News], ends_s: float, *, until_left: bool) -> Listening:
    """What one fan's events say, one after another."""
    from_s, until_s, gone_s, epochs = float(news[0][2]), float("-inf"), float("inf"), set[str]()
    for _, event, t_s, epoch in news:
        if t_s - gone_s > AWAY_MAX_S:
            from_s, epochs = t_s, set()
        gone_s = t_s if event in ("disconnect", "refused") else float("inf")
        if event == "position" or (until_left and event == "disconnect"):
            until_s = t_s
        epochs |= {line_of(epoch)} - {""}
    return Listening(from_s, min(until_s, ends_s), frozenset(epochs))


@given(events, st.booleans())
def test_a_fan_listened_since_they_were_last_away(news: list[News], until_left: bool) -> None:
    builder = empty()
    builder.fans = 4
    for fan, event, t_s, epoch in news:
        builder.event(fan, "positions", event, float(t_s), epoch=epoch)
    evidence = Evidence(builder.record())
    fans = sorted({fan for fan, *_ in news} - {3})
    names = [f"fan-{fan:04d}" for fan in fans]
    in_order = {fan: sorted((one for one in news if one[0] == fan), key=lambda one: one[2]) for fan in fans}
    assert list(listening(evidence, names, until_left=until_left)) == [
        (name, plainly(in_order[fan], evidence.duration_s, until_left=until_left))
        for name, fan in zip(names, fans, strict=True)
    ]
