"""The traceparent header, as W3C Trace Context has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target.telemetry.tracing import caller_of, leave, outgoing_headers, within

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def parse(header: str) -> tuple[str, str, bool] | None:
    """Trace, span and whether the caller keeps it; None: the header is ignored."""
    caller = caller_of(header)
    return None if caller is None else (caller.trace_id, caller.span_id, caller.sampled)


def passed_on(header: str) -> str:
    """The header of a call that is made for a call with this header."""
    before = within(caller_of(header))
    try:
        return outgoing_headers()["traceparent"]
    finally:
        leave(before)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_the_caller_decides_what_is_sampled(flags: str, sampled: bool) -> None:
    header = f"00-{TRACE}-{SPAN}-{flags}"
    assert parse(header) == (TRACE, SPAN, sampled)
    assert parse(passed_on(header)) == parse(header)


def test_a_later_version_may_say_more() -> None:
    assert parse(f"01-{TRACE}-{SPAN}-01-more") == parse(f"00-{TRACE}-{SPAN}-01")


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_ignored(header: str) -> None:
    assert parse(header) is None


@given(st.text())
def test_no_header_is_an_error(header: str) -> None:
    parse(header)
