"""Ctrl-C and SIGTERM: the first one stops the work, none of them interrupts the cleaning up."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Final, TypeVar

T = TypeVar("T")
_STOPPERS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _State:
    stopping = False
    pending = False
    shields = 0


def _on_signal(number: int, _frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    if _State.stopping or _State.pending:
        print(f"{name}: already stopping; healing faults and taking processes down", file=sys.stderr, flush=True)
    elif _State.shields:
        _State.pending = True
    else:
        _State.stopping = True
        print(f"{name}: stopping; healing faults and taking processes down", file=sys.stderr, flush=True)
        raise KeyboardInterrupt


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones only say that it is stopping."""
    before = {number: signal.signal(number, _on_signal) for number in _STOPPERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.stopping = _State.pending = False


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within, a stop signal waits; it is raised on leaving."""
    _State.shields += 1
    try:
        yield
    finally:
        _State.shields -= 1
        if _State.pending and not _State.shields:
            _State.pending = False
            _State.stopping = True
            raise KeyboardInterrupt


@contextmanager
def shielded(resource: AbstractContextManager[T]) -> Iterator[T]:
    """`resource`, whose cleaning up no stop signal interrupts."""
    entered = resource.__enter__()
    try:
        yield entered
    except BaseException as error:
        with uninterrupted():
            swallowed = resource.__exit__(type(error), error, error.__traceback__)
        if not swallowed:
            raise
    else:
        with uninterrupted():
            resource.__exit__(None, None, None)
