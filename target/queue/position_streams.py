"""Server-sent events that tell waiting fans their position: `waiting` before the opening, `position`, `paused` while
Redis is away, `sold_out` while nothing is left to buy, and at last `admitted`; or `refused`, when the access code or
the identity of a ticket that was given while Redis was away turns out to be another fan's.

One poller per process asks Redis for many fans at once: those near the front several times a second, those at the back
every few seconds (`BANDS`). When a ticket's fan is not in the queue, the hub puts the fan at the place of the join
time. This happens when the ticket was given while Redis was away, when Redis has lost its data, or when the fan was
silent for so long that the line went on.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from target.http.messages import DEVICE_PARAMETER, require_ticket
from target.http.operations import Parameter, Success, operation
from target.http.tickets import Signer, Ticket
from target.queue.waiting_room import CodeSpentError, ForeignPlaceError, SecondPlaceError, WaitingRoom
from target.runtime.breakers import UnavailableError
from target.telemetry.metrics import FALLBACKS, SSE_CONNECTIONS

TICK_S: Final = 0.25
GATHER_S: Final = 0.005  # positions of streams that open together are read together
GATHERING_S: Final = 5.0  # before the opening every fan is asked for so often
SLOWEST_S: Final = 20.0  # clients take a stream for lost that is silent for half a minute
BANDS: Final = ((1.0, TICK_S), (5.0, 1.0), (20.0, 2.5), (60.0, 5.0), (300.0, 10.0), (math.inf, SLOWEST_S))
"""(the turn is at the earliest in so many s, the fan is asked for every so many s), from the front to the back."""
KEEP_ALIVE_S: Final = 15.0
BATCH: Final = 500
ABREAST: Final = 8  # batches that are looked up at the same time
STREAMS_PER_FAN: Final = 4  # enough for tabs and reconnects, and a bound on what one ticket can cost
ADMITTED: Final = 0
ABSENT: Final = -1
CAREFUL_S: Final = 30.0
"""So long after Redis was away, who opens a stream is put in by the ticket, even who has a place: a join that nobody
could wait for any more may have been carried out after the ticket was given, and then the ticket is the earlier one."""
EVENT_NO_DIGITS: Final = 15  # the longest Last-Event-ID that is continued

HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
HEAD_HEADERS: Final = {name.decode(): value.decode() for name, value in HEADERS}


def cadence_s(position: int, *, rate_per_s: float) -> float:
    """How long until the position of a fan at `position` is read again, by the band at the highest rate."""
    turn_s = position / rate_per_s
    return next(every_s for within_s, every_s in BANDS if turn_s <= within_s)


class Stream:
    """One open stream. The newest event replaces one that a slow client has not taken yet."""

    __slots__ = ("_event", "_taker", "due_s", "epoch", "finished", "news", "number", "position", "sent_s", "ticket")

    def __init__(self, ticket: Ticket, number: int) -> None:
        self.ticket = ticket
        self.number = number  # of the last event, continued over reconnects
        self.epoch = ""
        self.position: int | None = None  # as last sent; None: none yet, or paused, or not drawn
        self.news = ""  # the name of the last event
        self.due_s = 0.0
        self.sent_s = 0.0
        self.finished = False
        self._event = b""
        self._taker: asyncio.Future[None] | None = None

    def tell(self, name: str, data: str) -> None:
        """Sends an event on the stream."""
        self.news = name
        self.number += 1
        self._put(f"id: {self.epoch}:{self.number}\nevent: {name}\ndata: {data}\n\n".encode())

    def keep_alive(self) -> None:
        """Sends a comment, so that no proxy on the way takes the stream for dead."""
        self._put(b":\n\n")

    def finish(self) -> None:
        """Ends the stream."""
        self.finished = True
        self._wake()

    async def next(self) -> bytes:
        """The next bytes to send; empty when the stream has ended."""
        while not self._event and not self.finished:
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker
        event, self._event = self._event, b""
        return event

    def _put(self, event: bytes) -> None:
        self._event = event
        self.sent_s = time.monotonic()
        self._wake()

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class StreamHub:
    """All open streams of one process, and the poller that feeds them."""

    def __init__(self, room: WaitingRoom, *, rate_per_s: float) -> None:
        self._room = room
        self._rate_per_s = rate_per_s
        self._streams: set[Stream] = set()
        self._of_fan: dict[str, list[Stream]] = {}  # oldest first
        self._arrived: list[Stream] = []
        self._paused_s = float("-inf")  # when Redis was last away, by the monotonic clock
        self._arrival = asyncio.Event()

    def open(self, ticket: Ticket, *, last_event_id: str = "") -> Stream:
        """A new stream for the holder of `ticket`.

        The place comes from the ticket; the id only continues the numbering of events.

        A fan has at most `STREAMS_PER_FAN`: the newest end the oldest.
        """
        number = last_event_id.rpartition(":")[2]
        known = number.isdecimal() and len(number) <= EVENT_NO_DIGITS
        stream = Stream(ticket, int(number) if known else 0)
        self._streams.add(stream)
        of_fan = self._of_fan.setdefault(ticket.fan, [])
        of_fan.append(stream)
        if len(of_fan) > STREAMS_PER_FAN:
            self.close(of_fan[0])
        self._arrived.append(stream)
        self._arrival.set()
        SSE_CONNECTIONS.set(len(self._streams))
        return stream

    def close(self, stream: Stream) -> None:
        """Forgets a stream. Safe to call twice."""
        stream.finish()
        self._streams.discard(stream)
        of_fan = self._of_fan.get(stream.ticket.fan, [])
        if stream in of_fan:
            of_fan.remove(stream)
            if not of_fan:
                del self._of_fan[stream.ticket.fan]
        SSE_CONNECTIONS.set(len(self._streams))

    async def run(self) -> None:
        """Endless: sends every stream its events when they are due."""
        next_tick_s = 0.0
        while True:
            now_s = time.monotonic()
            if now_s >= next_tick_s:
                due = [stream for stream in self._streams if stream.due_s <= now_s]
                next_tick_s = now_s + TICK_S
            else:
                due = self._arrived
            self._arrived = []
            self._arrival.clear()
            await self._tell(due)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(GATHER_S, next_tick_s - time.monotonic())):
                    await self._arrival.wait()
                    await asyncio.sleep(GATHER_S)

    async def _tell(self, due: list[Stream]) -> None:
        try:
            if time.monotonic() - max(self._paused_s, self._room.stamped_s) < CAREFUL_S:
                await self._put_in_all([stream for stream in due if not stream.epoch])
            absent = await self._look_up_all([stream for stream in due if not stream.finished])
            if absent:
                await self._put_in_all(absent)
                await self._look_up_all([stream for stream in absent if not stream.finished])
        except UnavailableError:
            self._tell_paused()

    async def _put_in_all(self, absent: list[Stream]) -> None:
        """Puts fans into the queue in the order of their tickets, so that few overtake others; many at a time, because
        admission waits for them.
        """
        absent.sort(key=lambda stream: stream.ticket.joined_us)
        for first in range(0, len(absent), BATCH):
            await asyncio.gather(*(self._put_in(stream) for stream in absent[first : first + BATCH]))

    async def _put_in(self, stream: Stream) -> None:
        try:
            await self._room.rejoin(stream.ticket)
        except ForeignPlaceError:
            self.close(stream)
        except (CodeSpentError, SecondPlaceError):
            stream.tell("refused", f'{{"at":{time.time():.3f}}}')
            self.close(stream)

    async def _look_up_all(self, streams: list[Stream]) -> list[Stream]:
        """As `_look_up`, some batches at a time: on a busy event loop it is the round trips that take the time."""
        batches = [streams[first : first + BATCH] for first in range(0, len(streams), BATCH)]
        absent = []
        for first in range(0, len(batches), ABREAST):
            for unknown in await asyncio.gather(*map(self._look_up, batches[first : first + ABREAST])):
                absent += unknown
        return absent

    async def _look_up(self, streams: list[Stream]) -> list[Stream]:
        """Sends the streams their positions; returns the streams whose fans Redis does not know."""
        seen = await self._room.positions([stream.ticket.fan for stream in streams])
        now_s = time.monotonic()
        absent = []
        for stream, position in zip(streams, seen.of, strict=True):
            if position == ABSENT:
                absent.append(stream)
            elif seen.gathering:
                self._tell_waiting(stream, seen.epoch, position, now_s)
            elif seen.sold_out and position != ADMITTED:
                self._tell_sold_out(stream, seen.epoch, position, now_s)
            else:
                self._tell_position(stream, seen.epoch, position, now_s)
        return absent

    def _tell_waiting(self, stream: Stream, epoch: str, position: int, now_s: float) -> None:
        """Before the opening: sends its time, and the position unless lots are drawn. Positions are read again at the
        opening.
        """
        rules = self._room.rules
        stream.due_s = now_s + min(GATHERING_S, max(TICK_S, rules.opens_at_s - time.time()))
        shown = position if rules.draw is None else None
        if stream.news != "waiting" or shown != stream.position:
            stream.epoch, stream.position = epoch, shown
            place = "" if shown is None else f'"position":{shown},"epoch":"{epoch}",'
            stream.tell("waiting", f'{{{place}"opens_at":{rules.opens_at_s:.3f},"at":{time.time():.3f}}}')
        elif now_s - stream.sent_s > KEEP_ALIVE_S:
            stream.keep_alive()

    def _tell_position(self, stream: Stream, epoch: str, position: int, now_s: float) -> None:
        stream.due_s = now_s + cadence_s(position, rate_per_s=self._rate_per_s)
        if position == ADMITTED:
            stream.epoch = epoch
            stream.tell("admitted", f'{{"at":{time.time():.3f}}}')
            stream.finish()
            self._streams.discard(stream)
        elif position != stream.position or epoch != stream.epoch or stream.news == "waiting":
            stream.epoch, stream.position = epoch, position
            stream.tell("position", f'{{"position":{position},"epoch":"{epoch}","at":{time.time():.3f}}}')
        elif now_s - stream.sent_s > KEEP_ALIVE_S:
            stream.keep_alive()

    def _tell_sold_out(self, stream: Stream, epoch: str, position: int, now_s: float) -> None:
        """Nothing is left for now. The place is kept for what may come back."""
        stream.due_s = now_s + cadence_s(position, rate_per_s=self._rate_per_s)
        if stream.news != "sold_out":
            stream.epoch, stream.position = epoch, None
            stream.tell("sold_out", f'{{"at":{time.time():.3f}}}')
        elif now_s - stream.sent_s > KEEP_ALIVE_S:
            stream.keep_alive()

    def _tell_paused(self) -> None:
        """While Redis is away: sends `paused` once on every stream, and tries again at each tick."""
        self._paused_s = time.monotonic()
        for stream in self._streams:
            stream.due_s = 0.0
            if stream.news != "paused":
                stream.position = None
                FALLBACKS.labels("paused_stream").inc()
                stream.tell("paused", f'{{"at":{time.time():.3f}}}')


@operation(
    "queue",
    {
        200: Success(
            "Events `waiting`, `position`, `paused`, `sold_out`, and at last `admitted` or `refused`.",
            media="text/event-stream",
        ),
        400: "the Device header is too long",
    },
    scheme="Queue",
    parameters=(DEVICE_PARAMETER, Parameter("Last-Event-ID", "header", "The last event seen: the count goes on.")),
)
class PositionsEndpoint:
    """ASGI endpoint of one stream; small, because there are thousands of streams."""

    def __init__(self, hub: StreamHub, signer: Signer) -> None:
        self._hub = hub
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves the stream until its end, or until the client leaves. Raises `ProblemError` before it has begun."""
        headers = Headers(scope=scope)
        ticket = require_ticket(headers, self._signer)
        if scope["method"] == "HEAD":
            await Response(headers=HEAD_HEADERS)(scope, receive, send)
            return
        stream = self._hub.open(ticket, last_event_id=headers.get("last-event-id", ""))
        watch = asyncio.create_task(_finish_on_disconnect(receive, stream))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            while event := await stream.next():
                await send({"type": "http.response.body", "body": event, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            watch.cancel()
            self._hub.close(stream)


async def _finish_on_disconnect(receive: Receive, stream: Stream) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.finish()
