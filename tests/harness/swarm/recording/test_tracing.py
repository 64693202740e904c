"""A seeded share of the journeys carries a traceparent; what was sent is in the record as client spans."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.tracing import Tracer, span_id, traceparent
from harness.swarm.users.barrier import fire
from tests.harness.swarm.client.test_http import GET, NOW, client_of
from tests.harness.swarm.scripted_server import response, serving

T0 = ReleaseInstant(0.0, 0.0)


@pytest.mark.parametrize("ratio", [0.0, 0.1, 0.5, 1.0])
def test_the_share_is_what_was_asked_for(ratio: float) -> None:
    traced = sum(1 for user in range(2000) if Tracer(7, ratio).trace_of("fan", user))
    assert traced == pytest.approx(2000 * ratio, abs=80)


@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_the_same_seed_traces_the_same_users_and_more_of_them_with_a_larger_share(seed: int, user: int) -> None:
    trace = Tracer(seed, 0.3).trace_of("fan", user)
    assert trace == Tracer(seed, 0.3).trace_of("fan", user)
    if trace:
        assert trace == Tracer(seed, 0.6).trace_of("fan", user)
        assert trace != Tracer(seed, 1.0).trace_of("bot", user)


@given(st.integers(1, 999), st.integers(1, 10**12))
def test_the_header_is_what_w3c_has_it(worker: int, number: int) -> None:
    value = traceparent(Tracer(1, 1.0).trace_of("fan", 0), span_id(worker, number))
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", value)


def test_a_traced_user_sends_a_span_of_its_own_with_each_request_and_records_it() -> None:
    recorder = Recorder(3, tracer=Tracer(7, 1.0))
    with serving(lambda asked: [response(b"", 500 if asked.target == "/bad" else 200)]) as server:
        client = client_of(server.url, recorder)
        fire([client.prepare(GET, "/first")])
        for target in ("/first", "/second", "/bad"):
            client.call(GET, target, NOW)
        client.close()
    sent = [asked.header("traceparent").split("-") for asked in server.asked]
    spans = recorder.take(T0)["spans"].to_pylist()
    assert [(one["trace_id"], one["span_id"]) for one in spans] == [(trace, span) for _, trace, span, _ in sent]
    assert len({span["trace_id"] for span in spans}) == 1
    assert len({span["span_id"] for span in spans}) == 3
    assert [span["status"] for span in spans] == ["ok", "ok", "error"]
    assert all(span["t_start_s"] <= span["t_end_s"] for span in spans)


def test_others_send_nothing_of_the_kind() -> None:
    recorder = Recorder(3)
    with serving(lambda _: [response()]) as server:
        client = client_of(server.url, recorder)
        client.call(GET, "/", NOW)
        client.close()
    assert server.asked[0].header("traceparent") == ""
    assert "spans" not in recorder.take(T0)
