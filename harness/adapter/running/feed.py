"""One spectator of a platform of one's own: an adapter's `feed` as rows of EVENTS, from before T0 to the end.

Fulfils `harness.platform.SpectatorSession`. After a drop the feed is asked to go on after the last change seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic
from typing import Final

from harness.adapter.running.verbs import Ended, VerbRunner, verb_of
from harness.adapter.shopper import Shopper
from harness.adapter.values import SEAT_STATES, FeedPoint, Resync, SeatChange, Snapshot, checked_told
from harness.platform import Answer, Call
from harness.record.schema import Outcome
from harness.swarm.recording.recorder import Recorder

STEP: Final = "feed"
Told = Snapshot | SeatChange | Resync


class KitSpectator:
    """See the module."""

    def __init__(self, shopper: Shopper, recorder: Recorder) -> None:
        self.runner = VerbRunner(shopper.browser, shopper.person)
        self.first: Told | None = None
        self._shopper = shopper
        self._recorder = recorder
        self._feed = recorder.following(shopper.person)
        self._point: FeedPoint | None = None
        self._stream: Iterator[object] = iter(())

    @property
    def first_send_s(self) -> float | None:
        """When the feed was first connected."""
        return self._shopper.browser.first_send_s

    def connect(self, call: Call) -> Answer[None]:
        """Open the feed, after the last change seen, and wait for the first thing that it tells."""
        point = self._point
        self._stream = iter(self._shopper.feed(point))
        ended = self.runner.run(self._next(), STEP, call)
        if ended.outcome is Outcome.OK and ended.value is None:
            ended = Ended(Outcome.UNKNOWN, ended.t_end_s, error="reset")
        if ended.outcome is Outcome.OK:
            self.first = ended.value
            epoch, seq = (point.epoch, point.seq) if point else ("", None)
            self._feed.connected(ended.t_end_s, epoch, seq)
        return ended.answer()

    def follow(self) -> str:
        """Note everything until the feed drops."""
        told, self.first = self.first, None
        error = ""
        verb = self._next()
        while told is not None:
            self._take(told)
            self._shopper.browser.deadline_s = float("inf")
            ended = self.runner.run_on(verb)
            told, error = ended.value, ended.error
        self._feed.dropped(monotonic(), error or "reset")
        self.close()
        return error

    def close(self) -> None:
        """Drop the feed."""
        close = getattr(self._stream, "close", None)
        if close is not None:
            close()
        self._shopper.browser.close()

    def _next(self) -> Callable[[], Told | None]:
        """The verb that waits for what is told next; null: the feed has ended."""

        def take() -> Told | None:
            told = next(self._stream, None)
            return None if told is None else checked_told(told, "feed")

        return verb_of(take, "feed", self._shopper.feed)

    def _take(self, told: Told) -> None:
        now_s = monotonic()
        self._point = FeedPoint(epoch=told.epoch, seq=told.seq)
        if isinstance(told, SeatChange):
            state = SEAT_STATES.index(told.state)
            self._feed.change(now_s, told.sent_unix_s, told.epoch, told.seq, told.seat, state)
        elif isinstance(told, Resync):
            self._feed.resync(now_s, None, told.epoch, told.seq)
        else:
            taken = {seat: SEAT_STATES.index(state) for seat, state in told.states.items() if state != "free"}
            self._feed.snapshot(now_s, told.sent_unix_s, told.epoch, told.seq, taken)
