"""The routes of the waiting room: joining, positions, admission."""

from __future__ import annotations

import functools
import math
import unicodedata
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import (
    DEVICE_PARAMETER,
    Name,
    ProblemError,
    json_response,
    read_device,
    read_json,
    require_ticket,
)
from target.http.operations import Parameter, Success, operation
from target.http.tickets import Access, Signer, Ticket
from target.http.turns import CAME_S
from target.queue.access_codes import CodeRefusedError
from target.queue.draw_routes import DrawRoutes
from target.queue.entrance import ChallengeOffer, DeviceRefusedError, Entrance, ProofRefusedError
from target.queue.position_streams import PositionsEndpoint, StreamHub
from target.queue.waiting_room import (
    CodeSpentError,
    Entry,
    EntryRefusedError,
    ForeignPlaceError,
    JoinState,
    QueuePlace,
    SecondPlaceError,
    WaitingRoom,
)
from target.runtime.breakers import UnavailableError
from target.settings import Settings
from target.telemetry.metrics import FALLBACKS

CHALLENGE_CACHE_S: Final = 5
REFUSALS: Final = {
    "waiting": (425, "not yet admitted"),
    "used": (409, "this ticket has been used"),
    "expired": (410, "the admission has expired; join again"),
}


class JoinRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fan who joins. Limits apply to the identity, in upper or lower case alike; several fans may share one.

    `accessible`: the fan declares that they, or somebody whom they come with, need an accessible seat.
    """

    fan: Name
    identity: Name
    accessible: bool = False


class JoinAnswer(msgspec.Struct, frozen=True):
    """A place in the queue. `joined_at`: unix s. Paused: without position and epoch.

    Gathering: `opens_at` (unix s) is the opening; when lots are drawn there is no position before it.
    """

    ticket: str
    position: int | None
    epoch: str
    joined_at: float
    state: JoinState
    opens_at: float | None = None


class EnterAnswer(msgspec.Struct, frozen=True):
    """The right to hold and buy. `expires_at`: unix s.

    Admission numbers count up within an `epoch`; after a loss of the queue's data they begin again in a new epoch.
    """

    pass_: str = msgspec.field(name="pass")
    admission_no: int
    expires_at: float
    epoch: str


CHALLENGE_PARAMETER: Final = Parameter("Challenge", "header", "The solved challenge, `<challenge>:<nonce>`.")
CODE_PARAMETER: Final = Parameter("Access-Code", "header", "The access code, where the sale asks for one.")


class QueueRoutes:
    """Handlers of one event's waiting room."""

    def __init__(
        self, settings: Settings, signer: Signer, entrance: Entrance, room: WaitingRoom, hub: StreamHub
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._entrance = entrance
        self._room = room
        self._positions = PositionsEndpoint(hub, signer)

    def routes(self) -> list[Route]:
        """As the public API names them."""
        event = self._settings.event
        return [
            Route(f"/api/events/{event}/challenge", self.challenge),
            Route(f"/api/events/{event}/queue", self.join, methods=["POST"]),
            Route(f"/api/events/{event}/queue/positions", self._positions, methods=["GET"]),
            Route(f"/api/events/{event}/admission", self.enter, methods=["POST"]),
            *DrawRoutes(self._room, event).routes(),
        ]

    @operation("queue", {200: ChallengeOffer})
    async def challenge(self, _request: Request) -> Response:
        """The challenge to solve before joining: the same for all fans, so a cache in front may keep it shortly."""
        headers = {"cache-control": f"public, max-age={CHALLENGE_CACHE_S}"}
        return json_response(self._entrance.challenge.offer(), headers=headers)

    @operation(
        "queue",
        {
            200: Success("The place that the fan has already.", JoinAnswer),
            201: Success("A new place.", JoinAnswer),
            202: Success("While Redis is away: a ticket stamped now, queued by its stamp.", JoinAnswer),
            400: "the body is not JSON, or the Device header is too long",
            403: "no such access code, the challenge is not solved, or the device is not named or not the fan's",
            409: "the access code has been used, or the identity has a place already",
            429: "too many joins from this device; try again after Retry-After",
        },
        body=JoinRequest,
        body_optional=True,
        scheme="Queue",
        scheme_optional=True,
        parameters=(DEVICE_PARAMETER, CHALLENGE_PARAMETER, CODE_PARAMETER),
    )
    async def join(self, request: Request) -> Response:
        """201 the first time, 200 again, 202 with a paused place while Redis is away.

        A fan with a ticket needs no new proof, but must come from the ticket's device.
        """
        headers = request.headers
        if "authorization" in headers:
            ticket = require_ticket(headers, self._signer)
            fan, identity, joined_us, device = ticket.fan, ticket.identity, ticket.joined_us, ticket.device
            code, access = ticket.code, ticket.access
            join = functools.partial(self._room.rejoin, ticket)
        else:
            device = read_device(headers)
            body = await read_json(request, JoinRequest)
            fan, identity, joined_us = body.fan, _spelled_once(body.identity), 0
            code = self._code_of(headers.get("access-code", ""))
            access = Access.DECLARED if body.accessible else Access.NONE
            shown = headers.get("challenge", ""), request.scope.get(CAME_S)
            join = functools.partial(self._join_anew, fan, identity, *shown, device, code)
        try:
            place = await join()
        except ForeignPlaceError as error:
            raise _foreign(401 if joined_us else 403) from error
        except (CodeSpentError, SecondPlaceError) as error:
            raise _taken(error) from error
        except UnavailableError:
            FALLBACKS.labels("ticket_while_redis_down").inc()
            joined_us = joined_us or self._room.stamp()
            return self._paused(Ticket("", fan, identity, joined_us, 0.0, device, code, access))
        opens_at_s = self._room.rules.opens_at_s
        answer = JoinAnswer(
            self._ticket(Ticket("", fan, place.identity, place.joined_us, 0.0, device, code, access)),
            place.position,
            place.epoch,
            place.joined_us / 1e6,
            place.state,
            opens_at_s if place.state is JoinState.GATHERING else None,
        )
        return json_response(answer, 201 if place.new else 200)

    @operation(
        "queue",
        {
            200: EnterAnswer,
            400: "the Device header is too long",
            409: "the ticket has been used, or its access code or identity let another fan in",
            410: "the admission has expired",
            425: "not yet admitted",
        },
        scheme="Queue",
        needs=("redis",),
        parameters=(DEVICE_PARAMETER,),
    )
    async def enter(self, request: Request) -> Response:
        """The pass for an admitted ticket."""
        ticket = require_ticket(request.headers, self._signer)
        try:
            entry = await self._enter(ticket)
        except ForeignPlaceError as error:
            raise _foreign(401) from error
        except (CodeSpentError, SecondPlaceError) as error:
            raise _taken(error) from error
        except EntryRefusedError as error:
            status, title = REFUSALS[error.reason]
            raise ProblemError(status, title, retry_after_s=1 if status == 425 else None) from error
        token, expires_at = self._signer.admit(
            ticket.fan,
            ticket.identity,
            admission_no=entry.admission_no,
            limit=self._settings.purchase_limit,
            entered_s=entry.entered_s,
            device=ticket.device,
            access=ticket.access,
        )
        return json_response(EnterAnswer(token, entry.admission_no, expires_at, entry.epoch))

    async def _enter(self, ticket: Ticket) -> Entry:
        """Raises `EntryRefusedError`. A fan whose place or admission Redis has lost gets the place back with this
        request.
        """
        try:
            return await self._room.enter(ticket)
        except EntryRefusedError as error:
            if error.reason == "waiting":
                await self._room.rejoin(ticket)
            raise

    def _code_of(self, shown: str) -> str:
        try:
            return self._entrance.code_of(shown)
        except CodeRefusedError as error:
            raise ProblemError(403, "an access code is needed", str(error)) from error

    async def _join_anew(
        self, fan: str, identity: str, solution: str, came_s: float | None, device: str, code: str
    ) -> QueuePlace:
        try:
            await self._entrance.check(fan, solution=solution, device=device, came_s=came_s)
        except ProofRefusedError as error:
            raise ProblemError(403, "the challenge is not solved", str(error)) from error
        except DeviceRefusedError as error:
            if error.retry_after_s is None:
                raise ProblemError(403, "the device is not named", str(error)) from error
            retry_after_s = math.ceil(error.retry_after_s)
            raise ProblemError(429, "too many from this device", str(error), retry_after_s=retry_after_s) from error
        return await self._room.join(fan, identity, device=device, code=code)

    def _paused(self, place: Ticket) -> Response:
        answer = JoinAnswer(self._ticket(place), None, "", place.joined_us / 1e6, JoinState.PAUSED)
        return json_response(answer, 202)

    def _ticket(self, place: Ticket) -> str:
        """The token for a place, of this event and valid for the usual time."""
        return self._signer.ticket(
            place.fan,
            place.identity,
            place.joined_us,
            device=place.device,
            code=place.code,
            access=place.access,
            opens_at_s=self._room.rules.opens_at_s,
        )


def _spelled_once(identity: str) -> str:
    """One spelling of an identity: Ann@Example.org is ann@example.org, also in full-width letters (NFKC)."""
    return unicodedata.normalize("NFKC", identity).casefold()


def _taken(error: CodeSpentError | SecondPlaceError) -> ProblemError:
    if isinstance(error, CodeSpentError):
        return ProblemError(409, "the access code has been used", "it has let another fan in")
    return ProblemError(409, "already in the line", "the identity has a place as another fan")


def _foreign(status: int) -> ProblemError:
    title = "not authorised" if status == 401 else "joined from another device"
    return ProblemError(status, title, "the fan's place belongs to the device that joined first")
