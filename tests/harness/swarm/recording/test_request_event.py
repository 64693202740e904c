"""Locust's statistics are the same whether its event is fired for each request or they are added up together."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.request_hook import EachFired
from harness.swarm.recording.rows import RequestRow

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from locust.env import Environment
    from locust.stats import StatsEntry

    from harness.swarm.recording.request_event import RequestEvent

REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["hold", "seat_map"]),
    st.floats(0.0, 60.0),
    st.integers(0, 10_000),
    st.sampled_from(["", "", "", "status"]),
)


def row(method: str, step: str, seconds: float, size: int, error: str, t_end_s: float | None = None) -> RequestRow:
    """A request that took so long and ended at that instant; null: now."""
    end_s = monotonic() if t_end_s is None else t_end_s
    start_s = end_s - seconds
    return RequestRow(
        0, 7, "fan", "fan-7", step, "", method, end_s, start_s, None, end_s, 200, "ok", error, size, 1, None
    )


def environment() -> Environment:
    made = Environment(user_classes=[])
    made.create_local_runner()
    return made


@pytest.fixture
def alone() -> Iterator[Environment]:
    made = environment()
    yield made
    made.runner.quit()


def told(entry: StatsEntry) -> dict[str, object]:
    """What an entry says, without the instants at which it was told."""
    facts = entry.serialize()
    seconds = {key: sum(facts.pop(key).values()) for key in ("num_reqs_per_sec", "num_fail_per_sec")}
    del facts["last_request_timestamp"], facts["start_time"]
    facts["total_response_time"] = pytest.approx(facts["total_response_time"])  # added up in another order
    return facts | seconds


@settings(max_examples=30, deadline=None)
@given(st.lists(REQUESTS, max_size=30))
def test_the_statistics_are_those_of_the_fired_event(requests: list[tuple]) -> None:
    fired, added = environment(), environment()
    each, together = EachFired(fired.events.request.fire), RequestEvent(added)
    for request in requests:
        one = row(*request)
        each.note(one)
        together.note(one)
    together.catch_up()
    assert told(added.stats.total) == told(fired.stats.total)
    assert added.stats.entries.keys() == fired.stats.entries.keys()
    for key, entry in fired.stats.entries.items():
        assert told(added.stats.entries[key]) == told(entry)
    for one_environment in (fired, added):
        one_environment.runner.quit()


def test_whoever_else_listens_hears_of_each_request_at_once(alone: Environment) -> None:
    heard: list[str] = []
    event = RequestEvent(alone)
    event.note(row("GET", "before", 0.01, 3, ""))
    alone.events.request.add_listener(lambda name, **_: heard.append(name))
    event.note(row("GET", "after", 0.01, 3, ""))
    assert heard == ["after"]
    assert alone.stats.total.num_requests == 2


def test_a_failure_is_told_at_once_and_after_what_went_before(alone: Environment) -> None:
    event = RequestEvent(alone)
    event.note(row("GET", "hold", 0.01, 3, ""))
    assert alone.stats.total.num_requests == 0
    event.note(row("GET", "hold", 0.01, 3, "timeout"))
    assert (alone.stats.total.num_requests, alone.stats.total.num_failures) == (2, 1)
    assert [str(error.error) for error in alone.stats.errors.values()] == ["timeout"]


def test_no_more_than_a_thousand_are_put_off(alone: Environment) -> None:
    event = RequestEvent(alone)
    for _ in range(2500):
        event.note(row("GET", "hold", 0.01, 3, ""))
    assert alone.stats.total.num_requests == 2000


def test_each_request_counts_in_the_second_in_which_it_ended(alone: Environment) -> None:
    event = RequestEvent(alone)
    now_s = monotonic()
    for ago_s in (3.0, 2.0, 2.0, 0.0):
        event.note(row("GET", "hold", 0.01, 3, "", now_s - ago_s))
    event.catch_up()
    entry = alone.stats.entries[("hold", "GET")]
    assert list(entry.num_reqs_per_sec.values()) == [1, 2, 1]
    assert sorted(entry.num_reqs_per_sec) == list(entry.num_reqs_per_sec)
    assert alone.stats.total.response_times_cache is not None
    assert alone.stats.total.response_times_cache[max(entry.num_reqs_per_sec)].num_requests == 4


def test_a_recorder_tells_the_rest_when_its_rows_are_taken(alone: Environment) -> None:
    recorder = Recorder(1, RequestEvent(alone))
    recorder.request(row("GET", "hold", 0.01, 3, ""))
    recorder.take(ReleaseInstant(0.0, 0.0))
    assert alone.stats.total.num_requests == 1
