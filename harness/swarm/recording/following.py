"""How followers of the seat feed are recorded: event by event, or, of many, summed up where the events arrive.

A summed-up follower's changes are checked one by one against where it stands and against what each number meant when
this worker first received it. What passes becomes part of a stretch (FEED_STRETCHES); whatever does not is a row of
EVENTS as it came. So nothing that an auditor could object to is ever summed up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from time import monotonic, time
from typing import Final, NamedTuple

from harness.platform import Person
from harness.record.histogram import bucket_us
from harness.record.schema import AS_NOTED
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.rows import DelayRow, EventRow, StretchRow

STREAM: Final = "feed"
STRETCH_MAX_S: Final = 10.0
"""After so long a stretch ends and another begins: a worker that dies takes only the last ones with it."""
_SNAPSHOTS_KEPT: Final = 16
_SECOND_OVER_S: Final = 3.0  # after its end a second's delays are written
_FROM_BASE_S_MAX: Final = 60.0  # a delay is told from one that is at most so far away
_US: Final = 1e6


class _Stretch(NamedTuple):
    person: Person
    epoch: str
    seq_from: int
    seq_to: int
    t_from_s: float
    t_to_s: float
    delay_s_max: float | None  # by this worker's monotonic clock and the platform's wall clock


class FeedLog:
    """What one worker has received of the feed: the change at each number, and the sums of its summed-up followers."""

    def __init__(self) -> None:
        self.stretches: list[_Stretch] = []
        self._changes: dict[str, dict[int, tuple[str, int]]] = {}
        self._snapshots: dict[tuple[str, int], Mapping[str, int]] = {}
        self._cells: dict[tuple[int, float, int], int] = {}
        self._clocks_s = monotonic() - time()
        self._base_s = float("inf")
        self._soonest_s = float("inf")
        self._newest_s = 0

    def changes(self, epoch: str) -> dict[int, tuple[str, int]]:
        """Number → (seat, state) of the changes of that epoch, as they first arrived."""
        return self._changes.setdefault(epoch, {})

    def knows(self, epoch: str, seq: int, states: Mapping[str, int]) -> bool:
        """Whether a snapshot of that point was noted with these very states; where none was noted, this one is."""
        known = self._snapshots.get((epoch, seq))
        if known is None:
            if len(self._snapshots) >= _SNAPSHOTS_KEPT:
                del self._snapshots[next(iter(self._snapshots))]
            self._snapshots[epoch, seq] = states
        return known == states

    def stamped(self, delay_s: float) -> None:
        """The platform's stamp of an event, and when that arrived, are so far apart."""
        self._soonest_s = min(self._soonest_s, delay_s)

    def delayed(self, delay_s: float, t_sent_s: float, connected_s: float) -> None:
        """Count the delay of a change, unless it was sent before that connection.

        A platform's clock that is ahead of ours shows in changes that arrive before they were sent.
        """
        if t_sent_s + min(self._clocks_s, self._soonest_s) < connected_s:
            return
        if abs(delay_s - self._base_s) > _FROM_BASE_S_MAX:
            self._base_s = delay_s
        second, more_us = int(t_sent_s), int((delay_s - self._base_s) * _US)
        self._newest_s = max(self._newest_s, second)
        cell = second, self._base_s, bucket_us(more_us) if more_us >= 0 else -bucket_us(-more_us)
        self._cells[cell] = self._cells.get(cell, 0) + 1

    def take_stretches(self, t0: ReleaseInstant) -> Iterator[StretchRow]:
        """The stretches that have ended since the last call."""
        ended, self.stretches = self.stretches, []
        clocks_s = t0.monotonic_s - t0.wall_s
        for who, epoch, seq_from, seq_to, from_s, to_s, delay_s in ended:
            delay_ms = None if delay_s is None else (delay_s - clocks_s) * 1000
            yield StretchRow(who.user, who.kind, who.actor, epoch, seq_from, seq_to, from_s, to_s, delay_ms)

    def take_delays(self, t0: ReleaseInstant, *, everything: bool) -> Iterator[DelayRow]:
        """The delays of the seconds that are over."""
        clocks_s = t0.monotonic_s - t0.wall_s
        over = [cell for cell in self._cells if everything or cell[0] + _SECOND_OVER_S < self._newest_s]
        for cell in over:
            second, base_s, more_us = cell
            yield DelayRow(float(second), base_s - clocks_s, more_us, self._cells.pop(cell))


class FollowedFeed:
    """One follower of whom every event is a row."""

    __slots__ = ("_log", "_note", "_person")

    def __init__(self, person: Person, log: FeedLog, note: Callable[[EventRow], None]) -> None:
        self._person = person
        self._log = log
        self._note = note

    def connected(self, t_s: float, epoch: str, seq: int | None) -> None:
        """The feed is open, asked to go on after that point; null: from anywhere."""
        self._row("connect", t_s, None, epoch, seq)

    def dropped(self, t_s: float, error: str) -> None:
        """The feed is gone."""
        self._row("disconnect", t_s, None, key=error)

    def resync(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int) -> None:
        """History is gone."""
        self._row("resync", t_s, t_sent_s, epoch, seq)

    def snapshot(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int, states: Mapping[str, int]) -> None:
        """Every seat that is not free."""
        self._row("snapshot", t_s, t_sent_s, epoch, seq, len(states))
        for seat, state in states.items():
            self._row("seat", t_s, t_sent_s, epoch, seq, state, seat)

    def change(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int, seat: str, state: int) -> None:
        """One seat changed."""
        self._log.changes(epoch).setdefault(seq, (seat, state))
        self._row("seat", t_s, t_sent_s, epoch, seq, state, seat)

    def score(self, t_s: float, t_sent_s: float | None) -> None:
        """How the match stands."""
        self._row("score", t_s, t_sent_s)

    def end(self) -> None:
        """Nothing more comes."""

    def _row(
        self,
        event: str,
        t_s: float,
        t_sent_s: float | None,
        epoch: str = "",
        seq: int | None = None,
        value: int | None = None,
        key: str = "",
    ) -> None:
        who = self._person
        if t_sent_s is not None:
            self._log.stamped(t_s - t_sent_s)
        self._note(EventRow(who.user, who.kind, who.actor, STREAM, event, t_s, t_sent_s, epoch, seq, value, key))


class SummedFeed(FollowedFeed):
    """One follower whose plain changes are summed up; see the module."""

    __slots__ = (
        "_changes",
        "_connected_s",
        "_delay_s_max",
        "_epoch",
        "_from",
        "_from_s",
        "_last_s",
        "_next",
    )

    def __init__(self, person: Person, log: FeedLog, note: Callable[[EventRow], None]) -> None:
        super().__init__(person, log, note)
        self._epoch = ""
        self._changes = log.changes("")
        self._next: int | None = None  # the number that follows on where it stands; null: it stands nowhere
        self._from: int | None = None  # where the stretch began that goes on; null: none does
        self._from_s = self._last_s = self._connected_s = 0.0
        self._delay_s_max: float | None = None

    def connected(self, t_s: float, epoch: str, seq: int | None) -> None:
        """See the base class."""
        self.end()
        super().connected(t_s, epoch, seq)
        self._connected_s = t_s
        self._stand(epoch or self._epoch, seq)

    def dropped(self, t_s: float, error: str) -> None:
        """See the base class."""
        self.end()
        super().dropped(t_s, error)

    def resync(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int) -> None:
        """See the base class."""
        self.end()
        super().resync(t_s, t_sent_s, epoch, seq)
        self._stand(self._epoch, None)

    def snapshot(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int, states: Mapping[str, int]) -> None:
        """See the base class. One that the worker has noted is not written out again."""
        self.end()
        if self._log.knows(epoch, seq, states):
            self._row("snapshot", t_s, t_sent_s, epoch, seq, len(states), AS_NOTED)
        else:
            super().snapshot(t_s, t_sent_s, epoch, seq, states)
        self._stand(epoch, seq)

    def change(self, t_s: float, t_sent_s: float | None, epoch: str, seq: int, seat: str, state: int) -> None:
        """See the base class. One that follows on, and says what the number said before, is summed up."""
        known = self._changes.get(seq)
        if seq != self._next or epoch != self._epoch or (known is not None and known != (seat, state)):
            self.end()
            super().change(t_s, t_sent_s, epoch, seq, seat, state)
            self._stand(epoch, seq)
            return
        if self._from is None:
            self._from, self._from_s = seq, t_s
        self._next, self._last_s = seq + 1, t_s
        if t_sent_s is not None and isfinite(t_sent_s):
            delay_s = t_s - t_sent_s
            if self._delay_s_max is None or delay_s > self._delay_s_max:
                self._delay_s_max = delay_s
            if known is not None:
                self._log.stamped(delay_s)
                self._log.delayed(delay_s, t_sent_s, self._connected_s)
        if known is None:
            super().change(t_s, t_sent_s, epoch, seq, seat, state)
        if t_s - self._from_s >= STRETCH_MAX_S:
            self.end()

    def end(self) -> None:
        """The stretch ends."""
        if self._from is not None and self._next is not None:
            stretch = (self._from, self._next - 1, self._from_s, self._last_s, self._delay_s_max)
            self._log.stretches.append(_Stretch(self._person, self._epoch, *stretch))
        self._from = self._delay_s_max = None

    def _stand(self, epoch: str, seq: int | None) -> None:
        self._epoch, self._changes = epoch, self._log.changes(epoch)
        self._next = None if seq is None else seq + 1
