"""The queue as a fan follows it: an adapter's `place`, asked again and again, or its `positions`, as one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from harness.adapter.browsing.browser import Browser
from harness.adapter.running.verbs import Ended, VerbRunner, verb_of
from harness.adapter.values import checked_number
from harness.platform import Call, QueueNews, QueueNewsKind
from harness.record.schema import Outcome
from harness.swarm.recording.recorder import Recorder

STEP: Final = "positions"
Noted = tuple[int | None, bool]
"""Position, and whether the fan is called in."""


class Notes:
    """Writes what the queue tells one fan as rows of EVENTS."""

    def __init__(self, recorder: Recorder, browser: Browser) -> None:
        self._recorder = recorder
        self._browser = browser

    def note(self, event: str, *, position: int | None = None, error: str = "") -> None:
        """Seen now."""
        self._recorder.saw(self._browser.person, STEP, event, monotonic(), value=position, key=error)


class Waiting:
    """A `harness.platform.QueueStream`: `first` is known already; `following` asks for what comes next.

    `following` ends when the queue is lost, and then `lost` says why.
    """

    def __init__(
        self, notes: Notes, first: Noted, following: Callable[[], Ended[Noted]], leave: Callable[[], None]
    ) -> None:
        self._notes = notes
        self._first = first
        self._following = following
        self._leave = leave
        self._followed = True
        self._reconnect_s: float | None = None

    def __iter__(self) -> Iterator[QueueNews]:
        seen: Noted = self._first
        while True:
            position, admitted = seen
            if admitted:
                self._followed = False
                self._notes.note("admitted")
                yield QueueNews(kind=QueueNewsKind.ADMITTED)
                return
            self._notes.note("position", position=position)
            yield QueueNews(kind=QueueNewsKind.POSITION, position=position)
            ended = self._following()
            if ended.value is None:
                self._followed = False
                self._reconnect_s = ended.retry_after_s
                self._notes.note("refused" if ended.final else "disconnect", error=ended.error)
                if ended.final:
                    yield QueueNews(kind=QueueNewsKind.REFUSED, error=ended.error)
                return
            seen = ended.value

    @property
    def reconnect_s(self) -> float | None:
        """How long the platform wants to be left alone."""
        return self._reconnect_s

    def close(self) -> None:
        """Leave the queue's page."""
        self._leave()
        if self._followed:
            self._followed = False
            self._notes.note("disconnect")


def polled(
    runner: VerbRunner, place: Callable[[], int | None], call: Call, pause_s: float
) -> tuple[Ended[Noted], Callable[[], Ended[Noted]]]:
    """The first look, and what looks again after each pause."""

    def look(intended: Call) -> Ended[Noted]:
        ended = runner.run(verb_of(lambda: checked_number(place(), "place"), "place", place), STEP, intended)
        return noted(ended)

    def following() -> Ended[Noted]:
        until_s = (runner.browser.t_end_s or monotonic()) + pause_s
        runner.browser.pause(until_s)
        return look(Call(t_intended_s=until_s, late_s=max(0.0, monotonic() - until_s)))

    return look(call), following


def streamed(
    runner: VerbRunner, positions: Iterator[int | None], call: Call, written: Callable[..., object]
) -> tuple[Ended[Noted], Callable[[], Ended[Noted]]]:
    """The first word of a stream, under the verb's limits; then one after another, however long that takes."""

    def take() -> Noted:
        try:
            return checked_number(next(positions), "positions"), False
        except StopIteration:
            return None, True

    verb = verb_of(take, "positions", written)

    def following() -> Ended[Noted]:
        runner.browser.deadline_s = float("inf")
        return runner.run_on(verb)

    return runner.run(verb, STEP, call), following


def noted(ended: Ended[int | None]) -> Ended[Noted]:
    """The same as a word of the queue."""
    value: Noted | None = (ended.value, ended.admitted) if ended.outcome is Outcome.OK else None
    return Ended(
        ended.outcome,
        ended.t_end_s,
        value,
        ended.error,
        ended.final,
        ended.retry_after_s,
        ended.resume,
        detail=ended.detail,
        where=ended.where,
    )
