"""A recording as the steps of one visitor: each request with the redirects that it led through, and its repetitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Final

import msgspec

from harness.adapter.browsing.page import Page
from harness.input_file import NOT_JSON
from harness.record.schema import Outcome
from harness.scaffold.recording.har import Exchange
from harness.swarm.client.message import Head
from harness.swarm.client.types import Response

_LOOK_AHEAD: Final = 12
_REDIRECTS_MAX: Final = 10
_HEAD: Final = b"HTTP/1.1 %d OK\r\ncontent-type: %b\r\n\r\n"


class Visit:
    """A request, and where its redirects led."""

    def __init__(self, hops: Sequence[Exchange]) -> None:
        self.hops = tuple(hops)
        self.asked = hops[0]
        self.answer = hops[-1]

    @cached_property
    def page(self) -> Page:
        """The last answer as the kit's browser would show it."""
        answer = self.answer
        kind = b"text/html; charset=utf-8" if answer.is_page else b"text/plain; charset=utf-8"
        head = Head(_HEAD % (min(answer.status, 999), kind))
        body = answer.text.encode("utf-8", "replace")
        response = Response(Outcome.OK, "", 0.0, head, body)
        return Page(answer.url, f"{self.asked.method} {self.asked.parts.path}", response, len(body) + 1)

    @cached_property
    def json(self) -> Any:  # noqa: ANN401 - JSON is anything
        """The last answer as JSON; null when it is none."""
        return json_of(self.answer.text) if "json" in self.answer.content_type else None


class Step:
    """One thing that the visitor did. `number`: its place in the recording."""

    def __init__(self, number: int, visit: Visit) -> None:
        self.number = number
        self.visits = [visit]

    @property
    def asked(self) -> Exchange:
        """The request."""
        return self.visits[0].asked

    @property
    def first(self) -> Visit:
        """The first time."""
        return self.visits[0]

    @property
    def last(self) -> Visit:
        """The last time, which ended the repetitions."""
        return self.visits[-1]

    @cached_property
    def json(self) -> Any:  # noqa: ANN401
        """What was posted as JSON; null when it is none."""
        return json_of(self.asked.body) if "json" in self.asked.body_type else None

    @property
    def is_page(self) -> bool:
        """Whether it showed a page."""
        return self.last.answer.is_page


def steps_of(exchanges: Sequence[Exchange]) -> list[Step]:
    """In order. The same GET again, with nothing done in between, repeats the step before."""
    steps: list[Step] = []
    for visit in _visits(exchanges):
        same = _same_before(steps, visit)
        if same is not None:
            same.visits.append(visit)
        else:
            steps.append(Step(len(steps), visit))
    return steps


def _visits(exchanges: Sequence[Exchange]) -> Iterator[Visit]:
    followed: set[int] = set()
    for at, exchange in enumerate(exchanges):
        if at in followed:
            continue
        hops = [exchange]
        where = at
        while hops[-1].leads_to and len(hops) <= _REDIRECTS_MAX:
            target = hops[-1].leads_to.partition("#")[0]
            found = next(
                (
                    index
                    for index in range(where + 1, min(where + 1 + _LOOK_AHEAD, len(exchanges)))
                    if index not in followed and exchanges[index].url == target
                ),
                None,
            )
            if found is None:
                break
            followed.add(found)
            hops.append(exchanges[found])
            where = found
        yield Visit(hops)


def _same_before(steps: Sequence[Step], visit: Visit) -> Step | None:
    if visit.asked.acts:
        return None
    for step in reversed(steps):
        if step.asked.acts:
            return None
        if (step.asked.parts.path, step.asked.query) == (visit.asked.parts.path, visit.asked.query):
            return step
        if step.is_page and visit.answer.is_page:  # the visitor has gone elsewhere in between
            return None
    return None


def json_of(text: str) -> Any:  # noqa: ANN401
    """Parsed, or null."""
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"))
    except NOT_JSON:
        return None


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], object]]:  # noqa: ANN401
    """Every value in a JSON document with the keys that lead to it."""
    stack = [(path, value)]
    while stack:
        where, one = stack.pop()
        if isinstance(one, dict):
            stack += [((*where, key), each) for key, each in reversed(one.items())]
        elif isinstance(one, list):
            stack += [((*where, at), each) for at, each in reversed(list(enumerate(one)))]
        else:
            yield where, one
