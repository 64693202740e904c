"""Drafts the verb `positions` from a stream that the queue's page opened: server-sent events or a WebSocket. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from harness.scaffold.python import literal, subscripts
from harness.scaffold.recording.har import Exchange
from harness.scaffold.recording.steps import Step, json_of, leaves

_POSITION: Final = re.compile(r"position|place|number|rank|ahead|turn|left", re.I)
_is_word: Final = re.compile(r"[A-Za-z_-]{2,20}").fullmatch
TODO: Final = "how the queue's stream says the position, and that it is the customer's turn (`positions` in shop.py)"


class Stream(msgspec.Struct, frozen=True):
    """The lines of `positions`, and whether all of them could be told."""

    lines: list[str]
    is_told: bool


def stream_in(steps: Sequence[Step]) -> Step | None:
    """The first step that opened a stream; null: none did."""
    return next((step for step in steps if is_stream(step.last.answer)), None)


def is_stream(exchange: Exchange) -> bool:
    """Whether it stayed open: nobody asks for it again as for a page."""
    return "event-stream" in exchange.content_type or exchange.is_socket


def positions(opened: Exchange, address: str) -> Stream:
    """`address`: of the stream, as an expression of the adapter."""
    if opened.is_socket:
        each, said, messages = "message", "message", [("", text) for text in opened.messages]
        opening = f"for {each} in self.browser.websocket({address}):"
    else:
        each, said, messages = "event", "event.data", list(_events(opened.text))
        opening = f"for {each} in self.browser.events({address}):"
    read, as_json = _position(messages, said)
    called = _called(messages, said, as_json=as_json)
    lines = [
        opening,
        f"    if {called or 'False'}:" + ("" if called else "  # TODO: it is the customer's turn"),
        "        return",
    ]
    lines.append(f"    yield {read or 'None'}" + ("" if read else "  # TODO: the position"))
    return Stream(lines, bool(read and called))


def _events(text: str) -> list[tuple[str, str]]:
    """(name, data) of each event that a recording kept; browsers often keep none."""
    found = []
    for block in re.split(r"\r?\n\r?\n", text):
        fields = [line.partition(":") for line in block.splitlines()]
        data = "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")
        name = next((value.strip() for name, _, value in fields if name == "event"), "")
        if data or name:
            found.append((name, data))
    return found


def _position(messages: Sequence[tuple[str, str]], said: str) -> tuple[str, bool]:
    """How the position is read, and whether of JSON; "" when no message has one."""
    for _, data in messages:
        if data.strip().isdecimal():
            return f"int({said})", False
        for path, value in leaves(_json(data)):
            if path and isinstance(value, int) and not isinstance(value, bool) and _POSITION.search(str(path[-1])):
                return f"json.loads({said}){subscripts(path)}", True
    return "", False


def _called(messages: Sequence[tuple[str, str]], said: str, *, as_json: bool) -> str:
    """What is true of the last message and of none before: then the customer is called in. "" for nothing."""
    if len(messages) < 2:
        return ""
    *before, (name, data) = messages
    if name and name not in {one for one, _ in before}:
        return f"event.event == {literal(name)}"
    last, earlier = _json(data), [_json(text) for _, text in before]
    keys = (
        [key for key in last if not any(isinstance(one, dict) and key in one for one in earlier)]
        if isinstance(last, dict)
        else []
    )
    if keys:
        return f"{literal(str(keys[0]))} in json.loads({said})"
    if not as_json and data not in {text for _, text in before} and _is_word(data):
        return f"{said} == {literal(data)}"
    return ""


def _json(text: str) -> Any:  # noqa: ANN401 - JSON is anything
    found = json_of(text)
    return found if isinstance(found, dict | list) else None
