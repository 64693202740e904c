"""A feed node: WebSocket sockets that follow the seats and the score of every event, let in at a bounded rate.

It is served by aiohttp and not by the ASGI server of the other roles: a node must know how many bytes a connection has
not taken yet, must ping, and must give thousands of sockets the same bytes; ASGI offers none of this. Sockets stay open
while Redis is away. Data from the client is read and ignored.
"""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import time
from typing import Final, TypeAlias

import msgspec
import uvloop
from aiohttp import web
from aiohttp.typedefs import Handler

from target.bugs import catalogue
from target.feed.admission import FULL_HINT_S, OpenLimit
from target.feed.channel import FeedChannel
from target.feed.socket import FeedClient
from target.seats import venue
from target.settings import Settings
from target.storage.keys import Keys
from target.storage.redis import RedisStore
from target.telemetry import logs
from target.telemetry.exposition import exposition
from target.telemetry.metrics import FEED_REFUSED

BACKLOG: Final = 4096
PING_S: Final = 30.0  # a client that answers no ping for half of this time more is taken for gone
REQUEST_WITHIN_S: Final = 15.0  # then a connection without a request is closed
MESSAGE_BYTES_MAX: Final = 1024  # of a client's message
GRACE_S: Final = 0.5
EPOCH_LENGTH_MAX: Final = 64
SEQ_DIGITS_MAX: Final = 15

Problem: TypeAlias = web.Response

_log = logging.getLogger(__name__)


def serve(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. A node is one process: The setting `workers` has no effect here; start another
    node.
    """
    logs.configure(settings)
    uvloop.run(_serve(settings))


async def _serve(settings: Settings) -> None:
    redis = RedisStore(settings.redis_url, timeout_s=settings.dependency_timeout_s, connections_max=32)
    node = FeedNode(settings, [_channel(redis, one) for one in settings.of_events()])
    jobs = [asyncio.create_task(job) for channel in node.channels.values() for job in channel.jobs()]
    jobs.append(asyncio.create_task(redis.guard.probe_forever(redis.ping)))
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # aiohttp logs a traceback for every malformed head
    runner = web.AppRunner(
        node.app(), access_log=None, keepalive_timeout=REQUEST_WITHIN_S, shutdown_timeout=GRACE_S, handle_signals=False
    )
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await stopping.wait()
    for channel in node.channels.values():
        channel.end()
    await runner.cleanup()
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await redis.close()


def _channel(redis: RedisStore, settings: Settings) -> FeedChannel:
    seats = venue.load(settings.venue, settings.event, accessible_pairs=settings.accessible_pairs).seats
    return FeedChannel(redis, Keys(settings.event), catalogue.find(settings.bug).seat_log(seats))


class FeedNode:
    """The routes of one node, with its limit on new sockets."""

    def __init__(self, settings: Settings, channels: list[FeedChannel]) -> None:
        self.channels = {channel.event: channel for channel in channels}
        self._limit = OpenLimit(sockets_max=settings.feed_sockets_max, opens_per_s=settings.feed_opens_per_s)

    def app(self) -> web.Application:
        """The node as an aiohttp application."""
        app = web.Application(middlewares=[_refusals_as_problems])
        app.router.add_get("/feed/{event}", self.follow, allow_head=False)
        app.router.add_get("/healthz", _health)
        app.router.add_get("/metrics", _metrics)
        return app

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """Serves one client from its handshake to its end. `?epoch=…&last_seq=…`: the last change that it has seen."""
        channel = self.channels.get(request.match_info["event"])
        if channel is None:
            return _problem(404, "no such event")
        epoch, last_seq = request.query.get("epoch", ""), request.query.get("last_seq", "")
        if not _usable(epoch, last_seq):
            return _problem(400, "malformed query", "last_seq is a whole number, epoch as the feed gave it")
        websocket = web.WebSocketResponse(heartbeat=PING_S, compress=False, max_msg_size=MESSAGE_BYTES_MAX)
        if not websocket.can_prepare(request).ok:
            return _problem(426, "a WebSocket is needed", headers={"upgrade": "websocket", "connection": "upgrade"})
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        await websocket.prepare(request)
        if request.transport is not None:
            socket = FeedClient(request.transport, epoch, int(last_seq) if last_seq else None)
            await _attend(websocket, channel, socket)
        return websocket

    def _refusal(self) -> Problem | None:
        """The refusal; None when the client may come in."""
        if not self._limit.has_room(sum(map(len, self.channels.values()))):
            FEED_REFUSED.labels("full").inc()
            return _come_back("this node is full", FULL_HINT_S)
        wait_s = self._limit.take(time.monotonic())
        if not wait_s:
            return None
        FEED_REFUSED.labels("rate").inc()
        return _come_back("too many are coming in at once", wait_s)


async def _attend(websocket: web.WebSocketResponse, channel: FeedChannel, socket: FeedClient) -> None:
    channel.join(socket)
    try:
        async for _ in websocket:
            pass
    finally:
        channel.leave(socket)


def _usable(epoch: str, last_seq: str) -> bool:
    whole = last_seq.isascii() and last_seq.isdigit() and len(last_seq) <= SEQ_DIGITS_MAX
    return len(epoch) <= EPOCH_LENGTH_MAX and (whole or not last_seq)


def _come_back(detail: str, after_s: float) -> Problem:
    """A 503. `Retry-After` has whole seconds only, so the problem document gives the exact time."""
    headers = {"retry-after": str(math.ceil(after_s)), "connection": "close"}
    return _problem(503, "come back later", detail, headers=headers, retry_after_s=round(after_s, 3))


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem document (RFC 9457)."""

    title: str
    status: int
    type: str = ""
    detail: str = ""
    retry_after_s: float | None = None


def _problem(
    status: int,
    title: str,
    detail: str = "",
    *,
    headers: dict[str, str] | None = None,
    retry_after_s: float | None = None,
) -> Problem:
    document = _Document(title, status, "about:blank", detail, retry_after_s)
    return web.Response(
        body=msgspec.json.encode(document),
        status=status,
        headers={"cache-control": "no-store", **(headers or {})},
        content_type="application/problem+json",
    )


@web.middleware
async def _refusals_as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as refused:
        headers = {"allow": refused.headers["allow"]} if "allow" in refused.headers else None
        return _problem(refused.status, refused.reason, headers=headers)
    except Exception:  # noqa: BLE001 - whatever it was, the client gets a problem document
        _log.exception("a request failed")
        return _problem(500, "internal error")


async def _health(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _metrics(_request: web.Request) -> web.Response:
    body, content_type = exposition()
    return web.Response(body=body, headers={"content-type": content_type})
