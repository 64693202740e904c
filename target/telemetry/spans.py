"""Spans: small objects that time themselves and then go to where they are exported (`target.telemetry.span_export`)."""

from __future__ import annotations

from contextvars import ContextVar, Token
from random import getrandbits
from time import time_ns
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from types import TracebackType

Value = str | int | float | bool


class Sink(Protocol):
    """Where finished spans go."""

    def add(self, span: Span) -> None:
        """A span has ended."""


class Caller(NamedTuple):
    """The span of the caller, in another process. `sampled`: it asks for spans."""

    trace_id: str
    span_id: str
    sampled: bool


class Span:
    """One step of a trace, from entering it to leaving it; then it goes to the outlets of this process.

    Times are unix ns; `error_type`: "" when it ended well.
    """

    __slots__ = (
        "_before", "_outlets", "attributes", "end_ns", "error_type", "kind", "name", "parent_id", "span_id", "start_ns",
        "trace_id",
    )  # fmt: skip
    sampled: Final = True

    def __init__(self, outlets: tuple[Sink, ...], above: Caller | Span, name: str, kind: str) -> None:
        self.trace_id: str = above.trace_id
        self.parent_id: str = above.span_id
        self.span_id: str = f"{getrandbits(63) + 1:016x}"
        self.name = name
        self.kind = kind
        self.start_ns = self.end_ns = 0
        self.error_type = ""
        self.attributes: dict[str, Value] = {}
        self._outlets = outlets
        self._before: Token[Caller | Span | None] | None = None

    def __enter__(self) -> Span:
        self._before = HERE.set(self)
        self.start_ns = time_ns()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end_ns = time_ns()
        if self._before is not None:
            HERE.reset(self._before)
        if kind is not None:
            self.error_type = kind.__name__
        for outlet in self._outlets:
            outlet.add(self)


HERE: Final[ContextVar[Caller | Span | None]] = ContextVar("span", default=None)
"""The span that the present context is in."""
