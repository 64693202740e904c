"""Calls of an API: a whole answer in time and of bounded size, or an error; whatever the other side does."""

from __future__ import annotations

import pytest

from harness.record.collecting.fetch import ApiAnswer, call
from tests.harness.swarm.scripted_server import serving
from tests.hostile_server import BEHAVIOURS, behaving


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ("headers drop by drop", "no whole answer within 0.3 s"),
        ("a body drop by drop", "no whole answer within 0.3 s"),
        ("says nothing", "no whole answer within 0.3 s"),
        ("a gigabyte in chunks", "answered more than 1,000 bytes"),
        ("endless headers", "does not answer as HTTP"),
        ("another protocol", "does not answer as HTTP"),
        ("less than it said", "answered less than it said"),
        ("closes at once", "closed connection without response"),
    ],
)
def test_no_whole_answer_is_an_error_in_time(behaviour: str, said: str) -> None:
    with behaving(BEHAVIOURS[behaviour]) as server, pytest.raises(OSError, match=said):
        call("GET", f"{server.url}/proxies", within_s=0.3, bytes_max=1000)


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: 0_2",
        "Content-Length: two",
        "Content-Length: -1",
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: identity",
    ],
)
def test_an_answer_whose_end_can_be_read_in_two_ways_is_none(framing: str) -> None:
    answers = [f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n2\r\nok\r\n0\r\n\r\n".encode()]
    with (
        serving(lambda _: answers) as server,
        pytest.raises(OSError, match="did not say clearly where its answer ends"),
    ):
        call("GET", f"{server.url}/proxies", within_s=10, bytes_max=1000)


def test_a_length_that_is_said_twice_is_one() -> None:
    answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"]
    with serving(lambda _: answers) as server:
        assert call("GET", f"{server.url}/", within_s=10, bytes_max=1000) == ApiAnswer(200, b"ok")


def test_an_answer_has_its_status_and_its_body_and_is_asked_for_once() -> None:
    answers = [b"HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno"]
    with serving(lambda _: answers) as server:
        answer = call("POST", f"{server.url}/proxies?x=1", {"name": "a"}, within_s=10, bytes_max=1000)
    assert answer == ApiAnswer(409, b"no")
    [asked] = server.asked
    assert asked.method == "POST"
