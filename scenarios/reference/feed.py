"""One spectator's session with the reference booking system's seat feed. Writes every event it sees.

A node that is crowded, too busy for this client or going away says when to come back, and that is when this session
does: a refusal's wish is in the answer, and that of a close is waited for before the next connect.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from time import monotonic
from typing import Annotated, Final
from urllib.parse import urlencode

import gevent
import msgspec
from msgspec import Meta

from harness.platform import Answer, Call, Person
from harness.swarm.client.documents import decoder_of
from harness.swarm.client.http import CallFailed, ClientLimits
from harness.swarm.client.websocket import FeedSocket
from harness.swarm.recording.recorder import Recorder
from scenarios.reference.api import SEATS_MAX, Name, Number

_SHARED_BYTES_MAX: Final = 1024  # all sockets get the same message about one change


class _Told(msgspec.Struct, frozen=True, tag_field="type"):
    """Base of the messages. `at`: unix s."""

    at: float


class Snapshot(_Told, frozen=True, tag="snapshot"):
    """Every seat that is not free, as of `seq`."""

    epoch: Name
    seq: Number
    seats: Annotated[dict[Name, Number], Meta(max_length=SEATS_MAX)]


class SeatChange(_Told, frozen=True, tag="seat"):
    """One seat changed."""

    epoch: Name
    seq: Number
    seat: Name
    state: Number


class Resync(_Told, frozen=True, tag="resync"):
    """History is gone; a snapshot follows."""

    epoch: Name
    seq: Number


class Score(_Told, frozen=True, tag="score"):
    """How the match stands."""


Told = Snapshot | SeatChange | Resync | Score
_decode: Final = decoder_of(Told)
_decode_shared: Final = lru_cache(maxsize=256)(_decode)


def _read(message: bytes) -> Told:
    told: Told = _decode_shared(message) if len(message) <= _SHARED_BYTES_MAX else _decode(message)
    return told


class ReferenceSpectatorSession:
    """See `harness.platform.SpectatorSession`."""

    def __init__(
        self, recorder: Recorder, person: Person, feeds: tuple[str, ...], event: str, limits: ClientLimits | None = None
    ) -> None:
        self._socket = FeedSocket(recorder, person, limits)
        self._feed = recorder.following(person)
        self._urls = [f"{feed}/feed/{event}" for feed in feeds]
        self._node = person.user  # each connect goes to the next node, as a load balancer would have it
        self._epoch = ""
        self._seq: int | None = None
        self._not_before_s = 0.0

    @property
    def first_send_s(self) -> float | None:
        """When the feed was first connected."""
        return self._socket.first_send_s

    def connect(self, call: Call) -> Answer[None]:
        """Open the feed, after the last change seen."""
        gevent.sleep(max(0.0, self._not_before_s - monotonic()))
        url = self._urls[self._node % len(self._urls)]
        self._node += 1
        if self._seq is not None:
            url += "?" + urlencode({"epoch": self._epoch, "last_seq": self._seq})
        outcome, error = self._socket.connect(url, call)
        end_s = monotonic()
        if not error:
            self._feed.connected(end_s, self._epoch, self._seq)
        return Answer(outcome=outcome, t_end_s=end_s, error=error, retry_after_s=self._socket.retry_after_s)

    def follow(self) -> str:
        """Note everything until the feed drops."""
        try:
            while (message := self._socket.receive()) is not None:
                self._take(_read(message))
            error = ""
        except CallFailed as failure:
            error = failure.error
        except msgspec.DecodeError:
            error = "protocol"
        lost_s = monotonic()
        self._feed.dropped(lost_s, error or "reset")
        self._not_before_s = lost_s + (self._socket.retry_after_s or 0.0)
        self._socket.close()
        return error

    def glance(self) -> int:
        """Note what comes up to a snapshot; who leaves then was not dropped, so no disconnect is noted."""
        with suppress(CallFailed, msgspec.DecodeError):
            while (message := self._socket.receive()) is not None:
                told = _read(message)
                self._take(told)
                if isinstance(told, Snapshot):
                    return len(told.seats)
        return 0

    def close(self) -> None:
        """Drop the feed."""
        self._socket.close()

    def _take(self, told: Told) -> None:
        now_s = monotonic()
        if isinstance(told, SeatChange):
            self._epoch, self._seq = told.epoch, told.seq
            self._feed.change(now_s, told.at, told.epoch, told.seq, told.seat, told.state)
        elif isinstance(told, Snapshot):
            self._epoch, self._seq = told.epoch, told.seq
            self._feed.snapshot(now_s, told.at, told.epoch, told.seq, told.seats)
        elif isinstance(told, Resync):
            self._feed.resync(now_s, told.at, told.epoch, told.seq)
        else:
            self._feed.score(now_s, told.at)
