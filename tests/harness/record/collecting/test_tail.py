"""Which journeys are kept: known slow, failed and fault-struck ones among many, and a share by chance."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from harness.record.collecting.tail import (
    FAILED_MOST,
    REPRESENTATIVE_LEAST,
    SLOWEST_MOST,
    TAIL_MOST,
    UNDER_FAULT_MOST,
    Picked,
    chance_of,
    representative,
    tail,
)
from harness.record.schema import SPANS

Spans = list[dict[str, Any]]


def request(number: int, step: str = "hold", took_s: float = 0.1, at_s: float = 0.0, error: str = "") -> dict[str, Any]:
    return {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "parent_id": "",
        "service": "swarm",
        "node": "worker-1",
        "name": step,
        "kind": "client",
        "t_start_s": at_s,
        "t_end_s": at_s + took_s,
        "status": "error" if error else "ok",
        "attributes": json.dumps({"status": int(error) if error.isdigit() else 0, "error": error, "user": number}),
    }


def picked(spans: Spans, **windows: tuple[float, float]) -> list[tuple[str, str, str, int]]:
    found = tail(pa.Table.from_pylist(spans, schema=SPANS), windows)
    return [(one.why, one.of, one.step, int(one.trace_id, 16)) for one in found]


def test_the_slowest_journeys_of_each_step_are_picked_slowest_first() -> None:
    spans = [request(n, took_s=n / 1000) for n in range(1, 100)] + [request(200, "pay", 0.001)]
    assert sorted(picked(spans)) == [("slowest", "", "hold", n) for n in (97, 98, 99)] + [("slowest", "", "pay", 200)]
    assert picked(spans)[0] == ("slowest", "", "hold", 99)
    assert len([one for one in picked(spans) if one[2] == "hold"]) == SLOWEST_MOST


def test_a_journey_that_is_slow_again_and_again_takes_one_place() -> None:
    again = [{**request(7, took_s=5.0 + n), "span_id": f"{1000 + n:016x}"} for n in range(9)]
    assert {one[3] for one in picked([*again, request(1), request(2)])} == {7, 1, 2}


def test_each_error_of_each_step_is_seen_a_few_times() -> None:
    spans = [request(n, error="503") for n in range(1, 20)]
    spans += [request(30, error="timeout"), request(31, "pay", error="503"), request(32, took_s=9.0)]
    failed = [one for one in picked(spans) if one[0] == "failed"]
    assert len([one for one in failed if one[1:3] == ("503", "hold")]) == FAILED_MOST
    assert ("failed", "timeout", "hold", 30) in failed
    assert ("failed", "503", "pay", 31) in failed
    assert 32 not in {one[3] for one in failed}


def test_those_that_a_fault_was_longest_in_force_for_are_picked() -> None:
    spans = [request(n, took_s=0.001 * n, at_s=5.0) for n in range(1, 40)]
    spans += [request(n, took_s=60.0, at_s=20.0) for n in range(50, 60)]  # slower, and after the heal
    found = [one for one in picked(spans, redis=(4.0, 8.0)) if one[0] == "fault"]
    assert found == [("fault", "redis", "hold", n) for n in range(39, 39 - UNDER_FAULT_MOST, -1)]
    assert not [one for one in picked(spans, never=(float("inf"), float("inf"))) if one[0] == "fault"]


def test_the_whole_is_bounded_and_every_list_keeps_its_first() -> None:
    spans = [request(1000 * step + n, f"step {step}", took_s=n) for step in range(200) for n in (1, 2, 3, 4)]
    found = picked(spans)
    assert len({one[3] for one in found}) == TAIL_MOST
    assert {one[2] for one in found} == {f"step {step}" for step in range(200)}


@given(
    st.lists(
        st.tuples(
            st.integers(1, 30),
            st.sampled_from(["hold", "pay", "join"]),
            st.floats(0, 9),
            st.floats(-5, 30),
            st.sampled_from(["", "", "503", "reset"]),
        ),
        max_size=120,
    )
)
def test_made_again_from_what_it_kept_the_choice_is_the_same(
    rows: list[tuple[int, str, float, float, str]],
) -> None:
    spans = [{**request(*row), "span_id": f"{at:016x}"} for at, row in enumerate(rows)]
    windows = {"redis": (2.0, 6.0), "postgres": (5.0, float("inf"))}
    first = tail(pa.Table.from_pylist(spans, schema=SPANS), windows)
    kept = {one.trace_id for one in first}
    again = [span for span in spans if span["trace_id"] in kept]
    assert tail(pa.Table.from_pylist(again, schema=SPANS), windows) == first
    assert all(isinstance(one, Picked) for one in first)


@given(st.sets(st.integers(0, 2**128 - 1), max_size=200), st.floats(0, 1))
def test_the_representative_share_is_by_chance_and_never_too_small(ids: set[int], ratio: float) -> None:
    traces = {f"{one:032x}" for one in ids}
    chosen = representative(traces, ratio)
    assert chosen <= traces
    assert {one for one in traces if chance_of(one) < ratio} <= chosen
    assert len(chosen) >= min(len(traces), REPRESENTATIVE_LEAST)
    assert representative(chosen, ratio) == chosen
    left_out = traces - chosen
    assert not left_out or max(map(chance_of, chosen)) <= min(map(chance_of, left_out))
