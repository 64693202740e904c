"""The sockets that follow one event in one process, and the seat log that feeds them.

A batch of changes is read once, made into frames once, and the same bytes go to every socket that is up to date. The
other sockets are behind: new ones, those that came back with a last seq, and slow ones. `carry_on` sends them the
changes from the log, as fast as each takes them. A client that falls behind the log, or takes nothing for `STALLED_S`,
is dropped and may come back. When changes are missing (a new epoch, a trimmed stream), the node says so with `resync`
and a snapshot; it never skips them silently.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Coroutine, Sequence
from typing import Any, Final

import msgspec

from target.feed.frames import SERVICE_RESTART, text_frames
from target.feed.socket import BUFFER_BYTES_LOW, FeedClient
from target.runtime.breakers import UnavailableError
from target.runtime.jobs import lasting
from target.seats import SeatLog, SeatStream
from target.seats.seat_log import Score, SeatChange, text
from target.seats.seat_stream import HistoryGoneError
from target.storage.keys import Keys
from target.storage.redis import OUTAGE_ERRORS, RedisStore
from target.telemetry.metrics import FEED_BEHIND, FEED_DELAY_SECONDS, FEED_DROPPED, FEED_OPENINGS, WEBSOCKET_CONNECTIONS

COALESCE_S: Final = 0.01  # changes within this time are read together
RETRY_S: Final = 0.1
SLICE_SOCKETS: Final = 200  # then the loop gets time to send these bytes and to answer others
CHUNK_CHANGES: Final = 250
CATCH_UP_S: Final = 0.02
STALLED_S: Final = 5.0
RETURN_S: Final = (0.5, 3.0)  # when a client whose socket we close must come back: a random time between the two

_log = logging.getLogger(__name__)


class FeedChannel:
    """One event's sockets in this process. `log` is empty at first."""

    def __init__(self, redis: RedisStore, keys: Keys, log: SeatLog) -> None:
        self.event = keys.event
        self._redis = redis
        self._score_channel = keys.score
        self._stream = SeatStream(redis, keys)
        self._log = log
        self._live: set[FeedClient] = set()
        self._behind: set[FeedClient] = set()
        self._some_behind = asyncio.Event()
        self._waiting = False  # time-out for Redis

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Endless jobs."""
        return [lasting(job) for job in (self.follow_seats, self.follow_score, self.carry_on)]

    def __len__(self) -> int:
        return len(self._live) + len(self._behind)

    def join(self, socket: FeedClient) -> None:
        """Adds a socket: from now on it gets all changes after its last one."""
        WEBSOCKET_CONNECTIONS.inc()
        self._fall_behind(socket)
        self._tell_rest(socket)

    def leave(self, socket: FeedClient) -> None:
        """Removes a socket that is gone."""
        WEBSOCKET_CONNECTIONS.dec()
        self._live.discard(socket)
        self._behind.discard(socket)
        FEED_BEHIND.labels(self.event).set(len(self._behind))

    def end(self) -> None:
        """Tells every client to come back, each at a moment of its own, because this node shuts down."""
        for socket in (*self._live, *self._behind):
            socket.drop(retry_after_s=random.uniform(*RETURN_S), code=SERVICE_RESTART)

    async def follow_seats(self) -> None:
        """Endless: reads every change once and hands it to all sockets."""
        while True:
            try:
                with contextlib.suppress(HistoryGoneError):
                    await self._follow()
                await self._load()
            except UnavailableError as error:
                if not self._waiting:
                    _log.warning("%s: no changes for now: %s", self.event, error)
                self._waiting = True
                await asyncio.sleep(RETRY_S)

    async def follow_score(self) -> None:
        """Endless: passes scores on as they come; scores that are published while Redis is away are lost."""
        while True:
            try:
                async with self._redis.client.pubsub() as channel:
                    await channel.subscribe(self._score_channel)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            await self._pass_on(message["data"])
            except OUTAGE_ERRORS as error:
                _log.debug("no scores: %s", error)  # follow_seats reports that Redis is away
            await asyncio.sleep(1.0)

    async def carry_on(self) -> None:
        """Endless: sends missed changes to sockets that are behind, as fast as their connections take them."""
        while True:
            await self._some_behind.wait()
            self._some_behind.clear()
            for number, socket in enumerate(tuple(self._behind), 1):
                self._tell_rest(socket)
                if number % SLICE_SOCKETS == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(CATCH_UP_S)
            if self._behind:
                self._some_behind.set()

    async def _load(self) -> None:
        """Loads all seats from Redis. Each socket goes on from its last change, if the log still knows it."""
        loaded = await self._stream.load()
        if loaded is None:
            await asyncio.sleep(RETRY_S)
            return
        self._log.load(loaded.epoch, loaded.seq, loaded.states, loaded.history, time.time())
        for socket in (*self._live, *self._behind):
            socket.told = False
            self._fall_behind(socket)

    async def _follow(self) -> None:
        """Passes changes on until the next ones cannot be read."""
        log = self._log
        while log.loaded:
            await self._stream.wait(log.seq)
            changes = await self._stream.read(log.epoch, log.seq)
            if self._waiting:
                self._waiting = False
                _log.info("%s: goes on after change %d", self.event, log.seq)
            if changes:
                await self._tell(changes)
            await asyncio.sleep(COALESCE_S)

    async def _tell(self, changes: Sequence[SeatChange]) -> None:
        """Appends to the log and sends the changes to every socket that is up to date."""
        first_seq = changes[0].seq
        frames = [text_frames(self._log.append(change)) for change in changes]
        everything = b"".join(frames)
        last_seq = self._log.seq
        for number, socket in enumerate(tuple(self._live), 1):
            if socket.seq is None or socket.closing or socket.seq >= last_seq or socket not in self._live:
                continue
            missing = everything if socket.seq < first_seq else b"".join(frames[socket.seq + 1 - first_seq :])
            socket.seq = last_seq
            if missing and not socket.send(missing):
                self._fall_behind(socket)
            if number % SLICE_SOCKETS == 0:
                await asyncio.sleep(0)
        FEED_DELAY_SECONDS.observe(max(0.0, time.time() - changes[0].at))

    async def _pass_on(self, score: bytes) -> None:
        frame = text_frames([text(msgspec.json.decode(score, type=Score))])
        for number, socket in enumerate(tuple(self._live), 1):
            if not socket.closing:
                socket.send(frame)
            if number % SLICE_SOCKETS == 0:
                await asyncio.sleep(0)

    def _fall_behind(self, socket: FeedClient) -> None:
        socket.behind_since_s = time.monotonic()
        self._live.discard(socket)
        self._behind.add(socket)
        self._some_behind.set()
        FEED_BEHIND.labels(self.event).set(len(self._behind))

    def _tell_rest(self, socket: FeedClient) -> None:
        """Sends missed changes. The log cannot move meanwhile (no `await`): a socket with all of them is up to date."""
        if socket.closing or not self._log.loaded:
            return
        if not socket.told:
            self._open(socket)
        while socket.unsent_bytes < BUFFER_BYTES_LOW:
            missed = self._log.after(socket.seq or 0, CHUNK_CHANGES)
            if missed is None:
                self._drop(socket, "history")
                return
            if not missed:
                self._behind.discard(socket)
                self._live.add(socket)
                FEED_BEHIND.labels(self.event).set(len(self._behind))
                return
            socket.seq = (socket.seq or 0) + len(missed)
            socket.behind_since_s = time.monotonic()
            socket.send(text_frames(missed))
        if time.monotonic() - socket.behind_since_s > STALLED_S:
            self._drop(socket, "stalled")

    def _open(self, socket: FeedClient) -> None:
        first = self._log.opening(socket.epoch, socket.seq, time.time())
        FEED_OPENINGS.labels(first.kind).inc()
        socket.told, socket.epoch, socket.seq = True, self._log.epoch, first.seq
        if first.messages:
            socket.send(text_frames(first.messages))

    def _drop(self, socket: FeedClient, reason: str) -> None:
        FEED_DROPPED.labels(reason).inc()
        socket.drop(retry_after_s=random.uniform(*RETURN_S))
