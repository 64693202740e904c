"""Locust's statistics are the same whether its event is fired or the additions are made for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.swarm.recorder import RequestFailed

with pytest.MonkeyPatch.context() as patched:
    patched.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")  # the tests share their process with much that may not be patched
    from locust.env import Environment
    from locust.stats import StatsEntry

    from harness.swarm.request_event import RequestEvent

REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST"]),
    st.sampled_from(["hold", "seat_map"]),
    st.floats(0.0, 60_000.0),
    st.integers(0, 10_000),
    st.sampled_from([None, RequestFailed("status")]),
)


def environment() -> Environment:
    made = Environment(user_classes=[])
    made.create_local_runner()
    return made


@pytest.fixture
def cheap() -> Iterator[Environment]:
    made = environment()
    yield made
    made.runner.quit()


def told(entry: StatsEntry) -> dict[str, object]:
    """What an entry says, without the instants at which it was told."""
    facts = entry.serialize()
    seconds = {key: sum(facts.pop(key).values()) for key in ("num_reqs_per_sec", "num_fail_per_sec")}
    del facts["last_request_timestamp"], facts["start_time"]
    return facts | seconds


@settings(max_examples=30, deadline=None)
@given(st.lists(REQUESTS, max_size=30))
def test_the_statistics_are_those_of_the_fired_event(requests: list[tuple]) -> None:
    fired, added = environment(), environment()
    event = RequestEvent(added)
    for method, step, ms, size, failure in requests:
        facts = {"request_type": method, "name": step, "response_time": ms, "response_length": size}
        fired.events.request.fire(**facts, exception=failure, context={})
        event(**facts, exception=failure, context={})
    assert told(added.stats.total) == told(fired.stats.total)
    assert added.stats.entries.keys() == fired.stats.entries.keys()
    for key, entry in fired.stats.entries.items():
        assert told(added.stats.entries[key]) == told(entry)
    for one in (fired, added):
        one.runner.quit()


def test_whoever_else_listens_hears_of_each_request(cheap: Environment) -> None:
    heard: list[str] = []
    event = RequestEvent(cheap)
    facts = {"request_type": "GET", "response_time": 1.5, "response_length": 3, "exception": None, "context": {}}
    event(name="before", **facts)
    cheap.events.request.add_listener(lambda name, **_: heard.append(name))
    event(name="after", **facts)
    assert heard == ["after"]
    assert cheap.stats.total.num_requests == 2
