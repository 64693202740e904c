"""The routes of the waiting room: the page, joining, positions, admission."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.breakers import UnavailableError
from target.context import Context
from target.http import ProblemError, json_response, read_json, require_token
from target.observability import FALLBACKS
from target.position_streams import PositionsEndpoint, StreamHub
from target.tickets import Ticket
from target.waiting_room import EntryRefusedError, JoinState, WaitingRoom

PAGE: Final = Path(__file__).parent / "web" / "queue.html"
REFUSALS: Final = {
    "waiting": (425, "not yet admitted"),
    "used": (409, "this ticket has been used"),
    "expired": (410, "the admission has expired; join again"),
}

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^\S+$")]


class JoinRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who joins. Limits apply to the identity; several fans may share one."""

    fan: Name
    identity: Name


class JoinAnswer(msgspec.Struct, frozen=True):
    """A place in the queue. `joined_at`: unix s. Paused: without position and epoch."""

    ticket: str
    position: int | None
    epoch: str
    joined_at: float
    state: JoinState


class EnterAnswer(msgspec.Struct, frozen=True):
    """The right to hold and buy. `expires_at`: unix s."""

    pass_: str = msgspec.field(name="pass")
    admission_no: int
    expires_at: float


class QueueRoutes:
    """Handlers of one event's waiting room."""

    def __init__(self, context: Context, room: WaitingRoom, hub: StreamHub) -> None:
        self._settings = context.settings
        self._signer = context.signer
        self._room = room
        self._positions = PositionsEndpoint(hub, context.signer)
        self._page = PAGE.read_bytes().replace(b"{{event}}", context.settings.event.encode())

    def routes(self) -> list[Route]:
        """As the public API names them."""
        event = self._settings.event
        return [
            Route(f"/queue/{event}", self.page),
            Route(f"/api/events/{event}/queue", self.join, methods=["POST"]),
            Route(f"/api/events/{event}/queue/positions", self._positions),
            Route(f"/api/events/{event}/admission", self.enter, methods=["POST"]),
        ]

    async def page(self, _request: Request) -> Response:
        """The queue page: static, so a cache in front may keep it."""
        return Response(self._page, headers={"cache-control": "public, max-age=60"}, media_type="text/html")

    async def join(self, request: Request) -> Response:
        """201 the first time, 200 again, 202 with a paused place while Redis is away."""
        authorization = request.headers.get("authorization")
        if authorization is not None:
            ticket = require_token(authorization, "Queue", Ticket, self._signer)
            fan, identity, joined_us = ticket.fan, ticket.identity, ticket.joined_us
            join = functools.partial(self._room.rejoin, ticket)
        else:
            body = await read_json(request, JoinRequest)
            fan, identity, joined_us = body.fan, body.identity, 0
            join = functools.partial(self._room.join, fan, identity)
        try:
            place = await join()
        except UnavailableError:
            FALLBACKS.labels("ticket_while_redis_down").inc()
            return self._paused(fan, identity, joined_us or self._room.stamp())
        answer = JoinAnswer(
            self._signer.ticket(fan, place.identity, place.joined_us),
            place.position,
            place.epoch,
            place.joined_us / 1e6,
            place.state,
        )
        return json_response(answer, 201 if place.new else 200)

    async def enter(self, request: Request) -> Response:
        """The pass for an admitted ticket."""
        ticket = require_token(request.headers.get("authorization", ""), "Queue", Ticket, self._signer)
        try:
            entry = await self._room.enter(ticket)
        except EntryRefusedError as error:
            status, title = REFUSALS[error.reason]
            raise ProblemError(status, title, retry_after_s=1 if status == 425 else None) from error
        token, expires_at = self._signer.admit(
            ticket.fan,
            ticket.identity,
            admission_no=entry.admission_no,
            limit=self._settings.purchase_limit,
            entered_s=entry.entered_s,
        )
        return json_response(EnterAnswer(token, entry.admission_no, expires_at))

    def _paused(self, fan: str, identity: str, joined_us: int) -> Response:
        ticket = self._signer.ticket(fan, identity, joined_us)
        return json_response(JoinAnswer(ticket, None, "", joined_us / 1e6, JoinState.PAUSED), 202)
