"""The routes of the seats: the venue, the map, free seats by section, holds."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import DEVICE_PARAMETER, ProblemError, json_response, read_json, require_pass
from target.http.operations import Parameter, Success, operation
from target.http.tickets import Access, HoldToken, Pass, Signer, TokenError
from target.runtime.breakers import UnavailableError
from target.seats.inventory import HoldGoneError, HoldState, Inventory, PurchaseLimitError, SeatsTakenError
from target.seats.seat_map import Counts, SeatMap, Seats
from target.seats.venue import Venue
from target.settings import Settings
from target.telemetry.metrics import FALLBACKS, HOLDS

SEATS_MAX: Final = 16  # in one hold
WITHHELD: Final = "say when joining that you need an accessible seat; companion seats go with their wheelchair places"
VENUE_CACHING: Final = "public, max-age=86400, stale-while-revalidate=86400, stale-if-error=604800"


class HoldRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The seats that a fan wants: all or none."""

    seats: Annotated[tuple[str, ...], Meta(min_length=1, max_length=SEATS_MAX)]


class HoldAnswer(msgspec.Struct, frozen=True):
    """The seats are kept until `expires_at` (unix s), which is `ttl_s` from now."""

    hold_id: str
    seats: tuple[str, ...]
    ttl_s: float
    expires_at: float


class HoldClaim(msgspec.Struct, frozen=True):
    """A hold that is being asked for."""

    hold_id: str
    fan: str
    identity: str
    seats: tuple[str, ...]


def withheld(wheelchair_places: Mapping[str, str], seats: Sequence[str], access: Access) -> tuple[str, ...]:
    """Those of `seats` that the bearer of a pass cannot be granted together. `wheelchair_places`: see `Venue`.

    Accessible seats are kept to the end for fans who declare the need. As US law has it (28 CFR 36.302(f)), who asks
    for one is asked whether it is for a person who needs it, and for no proof. A companion seat goes with its
    wheelchair place alone.
    """
    if access is Access.OPERATOR or not wheelchair_places:
        return ()
    return tuple(
        seat
        for seat in seats
        if seat in wheelchair_places and not (access is Access.DECLARED and wheelchair_places[seat] in seats)
    )


class ConflictCounter(Protocol):
    """Counts holds that met a taken seat: admission uses it."""

    def count(self, *, conflict: bool) -> None:
        """Counts one hold."""


class SeatRoutes:
    """Handlers of one event's seats."""

    def __init__(
        self,
        settings: Settings,
        signer: Signer,
        venue: Venue,
        seat_map: SeatMap,
        inventory: Inventory,
        conflicts: ConflictCounter,
    ) -> None:
        self._settings = settings
        self._signer = signer
        self._venue = venue
        self._seat_map = seat_map
        self._inventory = inventory
        self._conflicts = conflicts
        self._venue_headers = {"etag": venue.etag, "cache-control": VENUE_CACHING}

    def routes(self) -> list[Route]:
        """As the public API names them."""
        base = f"/api/events/{self._settings.event}"
        return [
            Route(f"{base}/venue", self.venue),
            Route(f"{base}/seats", self.seats),
            Route(f"{base}/sections", self.sections),
            Route(f"{base}/holds", self.hold, methods=["POST"]),
            Route(f"{base}/holds/{{hold_id}}", self.release, methods=["DELETE"]),
        ]

    @operation(
        "seats",
        {
            200: Success("Layout and prices.", Any, headers=("etag", "cache-control")),
            304: Success("As the caller has it."),
        },
        parameters=(Parameter("If-None-Match", "header", "The ETag of the layout that the caller has."),),
    )
    async def venue(self, request: Request) -> Response:
        """Layout and prices; they never change, so a client that has them gets 304."""
        if _matches(request.headers.get("if-none-match", ""), self._venue.etag):
            return Response(status_code=304, headers=self._venue_headers)
        return Response(self._venue.document, headers=self._venue_headers, media_type="application/json")

    @operation("seats", {200: Seats}, needs=("redis and the replica",))
    async def seats(self, _request: Request) -> Response:
        """The state of every seat."""
        return _fresh(await self._seat_map.seats())

    @operation("seats", {200: Counts}, needs=("redis and the replica",))
    async def sections(self, _request: Request) -> Response:
        """Free seats by section."""
        return _fresh(await self._seat_map.counts())

    @operation(
        "seats",
        {
            201: HoldAnswer,
            409: "seats are taken: `seats_taken` names them",
            422: "not the right shape, no such seat, a seat twice, over the purchase limit, or accessible seats "
            "(`seats_withheld` names them) without a declared need, or a companion seat without its wheelchair place",
        },
        body=HoldRequest,
        scheme="Pass",
        needs=("redis",),
        parameters=(DEVICE_PARAMETER,),
    )
    async def hold(self, request: Request) -> Response:
        """Holds all the seats or none; a fan who repeats the request gets the same answer again."""
        owner = require_pass(request, self._signer)
        seats = self._known(await read_json(request, HoldRequest))
        if seats_withheld := self._withheld(owner, seats):
            HOLDS.labels("refused").inc()
            raise ProblemError(422, "kept for those who need it", WITHHELD, extra={"seats_withheld": seats_withheld})
        try:
            return json_response(await self._hold(owner, seats), 201)
        except (SeatsTakenError, PurchaseLimitError) as error:
            earlier = await self._held_already(owner, seats)
            if earlier is not None:
                return json_response(earlier, 201)
            raise self._refusal(owner, error) from error
        except UnavailableError:
            HOLDS.labels("refused").inc()
            FALLBACKS.labels("refused_hold").inc()
            raise

    @operation(
        "seats",
        {
            204: Success("The seats are free again."),
            400: "the Device header is too long",
            404: "no such hold of this fan",
            409: "a payment for this hold is under way",
            410: "the hold is over",
        },
        scheme="Pass",
        needs=("redis",),
        parameters=(DEVICE_PARAMETER,),
    )
    async def release(self, request: Request) -> Response:
        """Gives a hold back."""
        owner, hold_id = require_pass(request, self._signer), request.path_params["hold_id"]
        try:
            await self._inventory.release(hold_id, fan=owner.fan)
        except HoldGoneError as error:
            if error.state is not None or not self._promised(owner, hold_id):
                raise _gone(error.state) from error
            self._inventory.promises.end(hold_id)
        return Response(status_code=204)

    def _promised(self, owner: Pass, hold_id: str) -> bool:
        """Whether the fan got this hold and its time is not over: when Redis has lost it, its seats are free."""
        try:
            return self._signer.read(HoldToken, hold_id).fan == owner.fan
        except TokenError:
            return False

    async def _hold(self, owner: Pass, seats: tuple[str, ...]) -> HoldAnswer:
        ttl_s = self._settings.hold_ttl_s
        hold_id = self._signer.hold_id(owner.fan, owner.identity, seats, time.time() + ttl_s)
        claim = HoldClaim(hold_id, owner.fan, owner.identity, seats)
        expires_at = await self._inventory.hold(claim, limit=owner.limit)
        HOLDS.labels("ok").inc()
        self._conflicts.count(conflict=False)
        return HoldAnswer(hold_id, seats, ttl_s, expires_at)

    async def _held_already(self, owner: Pass, seats: tuple[str, ...]) -> HoldAnswer | None:
        """The fan's hold of exactly these seats, if there is one that goes on: the first answer may have been lost."""
        hold = await self._inventory.hold_of(seats[0])
        if hold is None or (hold.state, hold.fan, set(hold.seats)) != (HoldState.HELD, owner.fan, set(seats)):
            return None
        left_s = hold.expires_at - time.time()
        return HoldAnswer(hold.hold_id, hold.seats, left_s, hold.expires_at) if left_s > 0 else None

    def _refusal(self, owner: Pass, error: SeatsTakenError | PurchaseLimitError) -> ProblemError:
        if isinstance(error, SeatsTakenError):
            HOLDS.labels("conflict").inc()
            self._conflicts.count(conflict=True)
            return ProblemError(409, "seats taken", extra={"seats_taken": error.seats})
        HOLDS.labels("refused").inc()
        detail = f"{error.bought} of {owner.limit} seats are used"
        return ProblemError(422, "over the purchase limit", detail, extra={"limit": owner.limit})

    def _withheld(self, owner: Pass, seats: tuple[str, ...]) -> tuple[str, ...]:
        """The accessible seats among these that the fan cannot have."""
        return withheld(self._venue.wheelchair_places, seats, owner.access)

    def _known(self, asked: HoldRequest) -> tuple[str, ...]:
        unknown = [seat for seat in asked.seats if self._venue.index(seat) is None]
        if unknown:
            raise ProblemError(422, "no such seat", ", ".join(unknown))
        if len(set(asked.seats)) != len(asked.seats):
            raise ProblemError(422, "a seat is listed twice")
        return asked.seats


def _gone(state: HoldState | None) -> ProblemError:
    if state is None:
        return ProblemError(404, "no such hold")
    if state is HoldState.LOCKED:
        return ProblemError(409, "a payment for this hold is under way")
    return ProblemError(410, "the hold is over", f"it was {state}")


def _matches(if_none_match: str, etag: str) -> bool:
    """Whether an If-None-Match header matches (RFC 9110, 13.1.2): any of a list, compared weakly, or *."""
    asked = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return bool(asked & {etag, "*"})


def _fresh(document: bytes) -> Response:
    return Response(document, headers={"cache-control": "no-store"}, media_type="application/json")
