"""What counts as a seat that could have been sold twice, against its definition, pair by pair."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.audit.history import Evidence
from harness.audit.seats.contention import contested_seats
from tests.builders import RunBuilder
from tests.harness.audit.paper import empty, exported, sold

TTL_S = 8.0
SEAT = "101-A-1"


def asks(builder: RunBuilder, fan: int, t_s: float, took_s: float, error: str = "") -> str:
    hold_id = f"h-{len(builder.tables['operations'])}"
    value = {"seats": [SEAT], "ttl_s": TTL_S}
    builder.operation(fan, "hold", hold_id, value, t_s, t_s + took_s, "fail" if error else "ok", error)
    return hold_id


def contested(builder: RunBuilder) -> set[str]:
    return contested_seats(Evidence(builder.record()))


# (fan, invoked at, took, how it ended)
asked = st.tuples(
    st.integers(0, 3), st.floats(0, 30), st.floats(0.01, 3), st.sampled_from(["", "conflict", "status", "limit"])
)


@settings(max_examples=300, deadline=None)
@given(asking=st.lists(asked, max_size=6), owner=st.none() | st.integers(0, 3))
def test_a_seat_is_contested_when_the_times_of_two_fans_overlap(
    asking: list[tuple[int, float, float, str]], owner: int | None
) -> None:
    builder = empty()
    spans = []
    for fan, t_s, took_s, error in asking:
        asks(builder, fan, t_s, took_s, error)
        if error == "conflict":
            spans.append((fan, t_s, t_s + took_s))
        elif not error:
            spans.append((fan, t_s, 1e9 if fan == owner else t_s + max(took_s, TTL_S)))
    if owner is not None:
        exported(builder, owner, SEAT, "o")
    overlap = any(a[0] != b[0] and a[1] <= b[1] <= a[2] for a in spans for b in spans)
    assert contested(builder) == ({SEAT} if overlap else set())


def test_a_sale_without_contention_has_no_chance() -> None:
    builder = empty()
    for fan in range(5):
        sold(builder, fan, f"101-A-{fan}", f"o{fan}")
    assert contested(builder) == set()


@pytest.mark.parametrize("how", ["release", "declined"])
def test_what_a_fan_gave_up_is_nobodys(how: str) -> None:
    builder = empty()
    hold_id = asks(builder, 1, 1.0, 0.1)
    if how == "release":
        builder.operation(1, "release", hold_id, {"seats": [SEAT]}, 2.0, 2.1)
    else:
        builder.operation(1, "pay", "k", {"hold_id": hold_id, "seats": [SEAT]}, 2.0, 2.1, "fail", "declined")
    asks(builder, 2, 3.0, 0.1)
    assert contested(builder) == set()
