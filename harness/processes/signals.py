"""Ctrl-C and SIGTERM: the first one stops the work, none of them interrupts the cleaning up, and none is lost.

A signal handler of Python raises KeyboardInterrupt wherever the main thread happens to be. Python itself swallows what
is raised in hooks that run at a fork and in finalizers; a signal that was swallowed there is raised again a moment
later. One that comes while something is cleaned up waits for the end of that.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import CodeType, FrameType, TracebackType
from typing import Final, Generic, TypeVar

from harness.processes.starting import STOPPERS

T = TypeVar("T")
_AGAIN_S: Final = 0.02
_STDERR: Final = 2


class _State:
    pid = 0
    heard = False
    pending = False
    shields = 0


def _on_signal(number: int, frame: FrameType | None) -> None:
    if os.getpid() != _State.pid:
        return  # a child between its fork and its program: the signal is for its parent, who hears it too
    name = signal.Signals(number).name
    if _State.heard:
        _say(f"{name}: already stopping; healing faults and taking processes down")
        return
    _State.heard = _State.pending = True
    _say(f"{name}: stopping; healing faults and taking processes down")
    _raise(frame)


def _on_alarm(_number: int, frame: FrameType | None) -> None:
    if _State.pending and os.getpid() == _State.pid:
        _raise(frame)


def _raise(frame: FrameType | None) -> None:
    if _State.shields or _is_leaving(frame):
        _again()
    else:
        _State.pending = False
        raise KeyboardInterrupt


def _again() -> None:
    signal.setitimer(signal.ITIMER_REAL, _AGAIN_S)


def _is_leaving(frame: FrameType | None) -> bool:
    """Whether the signal came while a shielded resource is being left, if only in the first step of that."""
    while frame is not None:
        if frame.f_code is _LEAVING:
            return True
        frame = frame.f_back
    return False


def _say(text: str) -> None:
    """Past Python's own streams: a handler may have interrupted one of them in the midst of a write."""
    stream = sys.stderr
    try:
        if stream is not None and stream.fileno() == _STDERR:
            os.write(_STDERR, f"{text}\n".encode())
        else:
            print(text, file=stream, flush=True)
    except (OSError, ValueError):
        return


@contextmanager
def stoppable() -> Iterator[None]:
    """Within, the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt; later ones only say that it is stopping.

    A SIGHUP that is ignored stays so: that is what nohup is for.
    """
    stays = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    before = {number: signal.signal(number, _on_signal) for number in STOPPERS if number not in stays}
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _on_alarm)
    hook = sys.unraisablehook

    def raise_again(unraisable: sys.UnraisableHookArgs) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt) and _State.heard:
            _State.pending = True
            _again()
        else:
            hook(unraisable)

    sys.unraisablehook = raise_again
    _State.pid = os.getpid()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)
        _State.heard = _State.pending = False


class uninterrupted:  # noqa: N801 - used as `with uninterrupted():`, like the functions of contextlib
    """Within, a stop signal waits; it is raised on leaving. Of the main thread: others are never interrupted."""

    def __enter__(self) -> None:
        """From here on signals wait."""
        self._counts = threading.current_thread() is threading.main_thread()
        _State.shields += self._counts

    def __exit__(self, *exc: object) -> None:
        """Raises KeyboardInterrupt for the signal that waited."""
        _State.shields -= self._counts
        if self._counts and _State.pending and not _State.shields:
            _State.pending = False
            raise KeyboardInterrupt


def give_way() -> None:
    """Raise KeyboardInterrupt for a signal that waits: at a point where even uninterrupted work can be left whole."""
    if _State.pending and threading.current_thread() is threading.main_thread():
        _State.pending = False
        raise KeyboardInterrupt


class shielded(Generic[T]):  # noqa: N801 - used as `with shielded(resource):`
    """`resource`, whose cleaning up no stop signal interrupts or prevents."""

    def __init__(self, resource: AbstractContextManager[T]) -> None:
        self._resource = resource

    def __enter__(self) -> T:
        """What the resource gives. That one cleans up by itself when it is interrupted here."""
        return self._resource.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Leave it whole, then raise KeyboardInterrupt for a signal that waited."""
        with uninterrupted():
            return bool(self._resource.__exit__(kind, error, trace))


_LEAVING: Final[CodeType] = shielded.__exit__.__code__
