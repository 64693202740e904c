"""The seat feed over WebSocket: one reader of Redis per process, and a bounded outbox for each socket.

Sockets stay open while Redis is away; the reader then goes on from the last change it has seen. What cannot be gone on
from (a new epoch, a trimmed stream) is said with `resync` and a snapshot, never skipped over.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from target import bugs, venue
from target.breakers import UnavailableError
from target.keys import Keys
from target.observability import WEBSOCKET_CONNECTIONS, health_route, metrics_route
from target.redis_store import OUTAGE_ERRORS, RedisStore
from target.seat_log import HISTORY_MAX, Resync, Score, SeatLog, text
from target.seat_stream import HistoryGoneError, SeatStream
from target.settings import Settings

OUTBOX_MAX: Final = HISTORY_MAX + 5_000  # messages; a client that is further behind is dropped and may come back
COALESCE_S: Final = 0.01  # changes within this time are read together
RETRY_S: Final = 0.1
TRY_AGAIN_LATER: Final = 1013

_log = logging.getLogger(__name__)


def create(settings: Settings) -> Starlette:
    """One feed node as an ASGI application."""
    redis = RedisStore(settings.redis_url, timeout_s=settings.dependency_timeout_s, connections_max=8)
    nodes = [_node(redis, one) for one in settings.of_events()]

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        jobs = [
            asyncio.create_task(job)
            for job in (*(job for node in nodes for job in node.jobs()), redis.guard.probe_forever(redis.ping))
        ]
        yield
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await redis.close()

    routes: list[Route | WebSocketRoute] = [
        *(WebSocketRoute(f"/feed/{node.event}", node.serve) for node in nodes),
        health_route,
        metrics_route,
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _node(redis: RedisStore, settings: Settings) -> FeedNode:
    seats = venue.load(settings.venue, settings.event).seats
    return FeedNode(redis, Keys(settings.event), bugs.find(settings.bug).seat_log(seats))


class _Socket:
    """One client: what it is still to be sent, and the change after which it wants every one."""

    __slots__ = ("after_seq", "asked", "filled", "opened", "outbox", "overrun", "task")

    def __init__(self, asked_epoch: str, asked_seq: int | None) -> None:
        self.asked = (asked_epoch, asked_seq)
        self.after_seq = 0
        self.opened = False
        self.overrun = False
        self.outbox: deque[str] = deque()
        self.filled = asyncio.Event()
        self.task = asyncio.current_task()

    def put(self, *messages: str) -> None:
        self.outbox.extend(messages)
        self.filled.set()
        if len(self.outbox) > OUTBOX_MAX and self.task is not None and not self.overrun:
            self.overrun = True
            self.task.cancel()

    async def send_to(self, websocket: WebSocket) -> None:
        while True:
            await self.filled.wait()
            self.filled.clear()
            while self.outbox:
                await websocket.send({"type": "websocket.send", "text": self.outbox.popleft()})


class FeedNode:
    """The sockets that follow one event in one process, and the log that they are told from."""

    def __init__(self, redis: RedisStore, keys: Keys, log: SeatLog) -> None:
        self._redis = redis
        self.event = keys.event
        self._score_channel = keys.score
        self._stream = SeatStream(redis, keys)
        self._log = log
        self._sockets: set[_Socket] = set()

    def jobs(self) -> list[Coroutine[Any, Any, None]]:
        """Endless jobs."""
        return [self.follow_seats(), self.follow_score()]

    async def follow_seats(self) -> None:
        """Endless: reads every change once and hands it to all sockets."""
        while True:
            try:
                await self._follow()
                await self._load()
            except UnavailableError as error:
                _log.info("the feed waits: %s", error)
                await asyncio.sleep(RETRY_S)

    async def follow_score(self) -> None:
        """Endless: passes scores on as they come; what is said while Redis is away is lost, as pub/sub has it."""
        while True:
            try:
                async with self._redis.client.pubsub() as channel:
                    await channel.subscribe(self._score_channel)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            self._tell_all(text(msgspec.json.decode(message["data"], type=Score)))
            except OUTAGE_ERRORS as error:
                _log.info("no scores: %s", error)
            await asyncio.sleep(1.0)

    async def serve(self, websocket: WebSocket) -> None:
        """One client, from its connect to its end."""
        await websocket.accept()
        socket = _Socket(websocket.query_params.get("epoch", ""), _seq(websocket.query_params.get("last_seq", "")))
        sending = asyncio.create_task(socket.send_to(websocket))
        self._join(socket)
        try:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        except asyncio.CancelledError:
            if not socket.overrun:
                raise
            with contextlib.suppress(TimeoutError, RuntimeError):
                async with asyncio.timeout(1.0):
                    await websocket.close(TRY_AGAIN_LATER)
        finally:
            self._leave(socket)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _join(self, socket: _Socket) -> None:
        WEBSOCKET_CONNECTIONS.inc()
        self._sockets.add(socket)
        if self._log.loaded:
            self._open(socket)

    def _leave(self, socket: _Socket) -> None:
        WEBSOCKET_CONNECTIONS.dec()
        self._sockets.discard(socket)

    def _open(self, socket: _Socket) -> None:
        """From here to the next `await` the log stands still: what it gives now and what follows fit together."""
        messages, socket.after_seq = self._log.opening(*socket.asked, time.time())
        socket.opened = True
        socket.put(*messages)

    async def _load(self) -> None:
        """Takes the state of all seats from Redis, and tells every socket that what it knew is void."""
        loaded = await self._stream.load()
        if loaded is None:
            await asyncio.sleep(RETRY_S)
            return
        self._log.load(loaded.epoch, loaded.seq, loaded.states, loaded.history, time.time())
        resync = text(Resync(loaded.epoch, loaded.seq, time.time()))
        for socket in self._sockets:
            if socket.opened:
                socket.asked = ("", None)
                socket.put(resync)
            self._open(socket)

    async def _follow(self) -> None:
        """Hands changes on until what comes next cannot be read."""
        log = self._log
        with contextlib.suppress(HistoryGoneError):
            while log.loaded:
                await self._stream.wait(log.seq)
                first_seq = log.seq + 1
                changes = await self._stream.read(log.epoch, log.seq)
                messages = [message for change in changes for message in log.append(change)]
                for socket in self._sockets:
                    seen_already = max(0, socket.after_seq + 1 - first_seq)
                    socket.put(*messages[seen_already:])
                await asyncio.sleep(COALESCE_S)

    def _tell_all(self, message: str) -> None:
        for socket in self._sockets:
            if socket.opened:
                socket.put(message)


def _seq(given: str) -> int | None:
    """A sequence number from a query; None where there is none that can be used."""
    return int(given) if given.isascii() and given.isdigit() and len(given) < 16 else None
