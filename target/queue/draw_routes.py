"""The public routes of the draw: the commitment before the opening; the seed and all entries after it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import ProblemError, json_response
from target.http.operations import Parameter, operation
from target.queue.draw import Draw
from target.queue.waiting_room import WaitingRoom
from target.runtime.breakers import UnavailableError

ENTRIES_MAX: Final = 1_000  # in one answer
METHOD: Final = (
    "entry = hex sha256(fan); number = the first 13 hex digits of sha256(seed + ':' + entry); "
    "the smallest number is first; the commitment is hex sha256(seed)"
)
_CACHED: Final = {"cache-control": "public, max-age=5"}


class DrawAnswer(msgspec.Struct, frozen=True):
    """The draw. `opens_at`: unix s. `seed` is null until then."""

    opens_at: float
    commitment: str
    seed: str | None
    policy: Literal["shuffle"] = "shuffle"
    method: str = METHOD


class DrawEntry(msgspec.Struct, frozen=True):
    """One lot: the hash of a fan's name, and the number it drew."""

    entry: str
    number: int


class EntriesAnswer(msgspec.Struct, frozen=True):
    """Lots in the order of the line, from the `first`-th on, out of `total`."""

    seed: str
    commitment: str
    first: int
    total: int
    entries: tuple[DrawEntry, ...]


First = Annotated[int, Meta(ge=0, le=2**31)]
Count = Annotated[int, Meta(ge=1, le=ENTRIES_MAX)]


class Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lots that are asked for."""

    first: First = 0
    count: Count = ENTRIES_MAX


class DrawRoutes:
    """Handlers of one event's draw. They answer 404 when the event draws no lots."""

    def __init__(self, room: WaitingRoom, event: str) -> None:
        self._room = room
        self._path = f"/api/events/{event}/draw"

    def routes(self) -> list[Route]:
        """As the public API names them."""
        return [Route(self._path, self.draw), Route(f"{self._path}/entries", self.entries)]

    @operation("draw", {200: DrawAnswer, 404: "no lots are drawn"})
    async def draw(self, _request: Request) -> Response:
        """The commitment, and after the opening the seed. While Redis is away the seed is not revealed."""
        draw = self._draw()
        try:
            opened = await self._room.opened()
        except UnavailableError:
            opened = False
        opens_at_s = self._room.rules.opens_at_s
        return json_response(DrawAnswer(opens_at_s, draw.commitment, draw.seed if opened else None), headers=_CACHED)

    @operation(
        "draw",
        {
            200: EntriesAnswer,
            404: "no lots are drawn",
            422: "first or count is not a number in its range",
            425: "before the opening",
        },
        needs=("redis",),
        parameters=(
            Parameter("first", "query", "The first lot wanted, from 0.", First),
            Parameter("count", "query", "How many lots are wanted.", Count),
        ),
    )
    async def entries(self, request: Request) -> Response:
        """All entries of the draw, page by page; 425 before the opening."""
        draw = self._draw()
        try:
            page = msgspec.convert(dict(request.query_params), Page, strict=False)
        except msgspec.ValidationError as error:
            raise ProblemError(422, "unprocessable query", str(error)) from error
        if not await self._room.opened():
            raise ProblemError(425, "the lots are not drawn yet", f"the opening is at {self._room.rules.opens_at_s}")
        found = await self._room.entrants(first=page.first, count=page.count)
        entries = tuple(DrawEntry(entry, number) for entry, number in found.drawn)
        return json_response(EntriesAnswer(draw.seed, draw.commitment, page.first, found.total, entries))

    def _draw(self) -> Draw:
        draw = self._room.rules.draw
        if draw is None:
            raise ProblemError(404, "no lots are drawn", "whoever comes first is served first")
        return draw
