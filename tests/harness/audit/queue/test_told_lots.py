"""queue_order of a lottery that publishes nothing: by the places that fans were told, pair by pair."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.record.verdict import InvariantResult, Status
from harness.scenario import OwnPlatform, Rules
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, judged

Look = tuple[float, float, int | None]  # asked, answered, place


def shuffled(builder: RunBuilder) -> RunBuilder:
    """Of a shop whose rules say that lots are drawn."""
    own = OwnPlatform(adapter="a.py:A", url="http://127.0.0.1:1", rules=Rules(queue_policy="shuffle"))
    section = msgspec.to_builtins(own)
    return builder.changed(stack="own", scenario={**builder.run.scenario, "platform": section})


def drawn(*fans: tuple[list[Look], int | None], streamed: bool = False) -> RunBuilder:
    """Fans by their looks at their place, and the number with which they were admitted."""
    builder = empty()
    for user, (looks, number) in enumerate(fans):
        builder.operation(user, "join", f"fan-{user:04d}", {"position": None, "epoch": ""}, 0.0, 0.1)
        for at, (asked_s, told_s, place) in enumerate(looks):
            if not (streamed and at):
                builder.request(user, "positions", asked_s, told_s - asked_s, actor=f"fan-{user:04d}")
            row = builder.event(user, "positions", "position", told_s, value=place)
            row["actor"] = f"fan-{user:04d}"
        if number is not None:
            value = {"admission_no": number, "epoch": ""}
            builder.operation(user, "enter", f"fan-{user:04d}", value, 100.0 + number, 100.5 + number)
    return shuffled(builder)


def order(builder: RunBuilder) -> InvariantResult:
    return judged("queue_order", builder)


def test_who_was_told_a_later_place_afterwards_comes_later() -> None:
    early: list[Look] = [(1.0, 1.1, 2)]
    late: list[Look] = [(0.5, 0.6, None), (1.2, 1.3, 7), (2.0, 2.1, 6)]
    kept = order(drawn((early, 1), (late, 2)))
    assert (kept.status, kept.chances) == (Status.HELD, 1)
    broken = order(drawn((early, 2), (late, 1)))
    assert (broken.status, broken.violations_total) == (Status.VIOLATED, 1)
    assert broken.violations[0].summary == "fan-0001 was admitted 1 places ahead of fan-0000, who drew an earlier lot"
    told = [step.text for step in broken.violations[0].history]
    assert told[:2] == ["fan-0000 was told place 2", "fan-0001 was told place 6"]


def test_a_place_that_was_told_earlier_or_is_as_good_tells_no_order() -> None:
    first: list[Look] = [(1.0, 1.1, 5), (2.0, 2.1, 4)]
    before: list[Look] = [(0.1, 0.2, None), (0.9, 1.05, 9)]  # the line may have moved between the two
    same: list[Look] = [(0.1, 0.2, None), (2.5, 2.6, 5)]  # "about 5"
    for other in (before, same):
        found = order(drawn((first, 2), (other, 1)))
        assert (found.status, found.chances) == (Status.NOT_OBSERVABLE, 0)


def test_what_a_stream_tells_may_have_been_on_its_way() -> None:
    early: list[Look] = [(1.0, 1.1, 2)]
    late: list[Look] = [(0.5, 0.6, 8), (1.2, 1.3, 7), (2.0, 2.1, 6)]
    assert order(drawn((early, 2), (late, 1))).status is Status.VIOLATED
    assert order(drawn((early, 2), (late, 1), streamed=True)).status is Status.NOT_OBSERVABLE


def test_without_places_nothing_is_known_of_the_lots() -> None:
    found = order(drawn(([(1.0, 1.1, None)], 1), ([(1.0, 1.1, None)], 2)))
    assert found.status is Status.NOT_OBSERVABLE
    assert "does not publish how they were drawn" in found.note


def test_who_was_not_drawn_is_counted() -> None:
    builder = drawn(([(0.9, 1.0, 1)], 1), ([(1.0, 1.1, None), (1.5, 1.6, 3)], 2), ([], None))
    builder.event(2, "positions", "refused", 1.6, key="not_drawn")["actor"] = "fan-0002"
    assert order(builder).note.endswith("; 1 were not drawn")


lines = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        st.permutations(range(1, count + 1)),
        st.permutations(range(1, count + 1)),
        st.lists(st.lists(st.floats(1, 9), min_size=1, max_size=4), min_size=count, max_size=count),
    )
)


@settings(max_examples=100, deadline=None)
@given(lines, st.floats(0, 3))
def test_a_line_that_is_called_as_it_was_drawn_is_never_flagged_and_else_only_rightly(
    line: tuple[list[int], list[int], list[list[float]]], per_s: float
) -> None:
    """Each look is answered at some instant between asking and telling, with the lot less those called by then."""
    lots, numbers, asked = line

    def looks(lot: int, starts_s: list[float]) -> list[Look]:
        times = [(10.0 * at + start_s, 10.0 * at + start_s + 0.5) for at, start_s in enumerate(sorted(starts_s))]
        told = [(begin_s, end_s, lot - int(per_s * (begin_s + 0.25))) for begin_s, end_s in times]
        return [look for look in told if look[2] is not None and look[2] > 0]

    seen = [looks(lot, starts_s) for lot, starts_s in zip(lots, asked, strict=True)]
    as_drawn = order(drawn(*zip(seen, lots, strict=True)))
    assert as_drawn.violations_total == 0
    other = order(drawn(*zip(seen, numbers, strict=True)))
    inversions = {
        late for late, lot in enumerate(lots) for ahead, before in enumerate(lots)
        if before < lot and numbers[ahead] > numbers[late]
    }  # fmt: skip
    assert other.violations_total <= len(inversions)
