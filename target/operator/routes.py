"""The operator's endpoints, served by the worker: the order export, what is not at rest, a pass for the sweep."""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import Name, ProblemError, json_response, read_json
from target.http.operations import Parameter, Success, operation
from target.http.tickets import PASS_VALID_S, Access, Signer
from target.orders import Orders, Parking
from target.seats import Inventory

OPERATOR_ADMISSION_NO: Final = 0
NO_LIMIT: Final = 0


class PassRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fan in whose name the operator acts, and the event; without an event, the first.

    `expired`, `elsewhere`: make a pass that has already expired, or one of another event, to test that it is refused.
    `limit`: seats that the fan may have with it, 0 for any number.
    """

    fan: Name
    event: str = ""
    expired: bool = False
    elsewhere: bool = False
    limit: Annotated[int, msgspec.Meta(ge=0)] = NO_LIMIT


class PassAnswer(msgspec.Struct, frozen=True):
    """The pass that was asked for."""

    pass_: str = msgspec.field(name="pass")


class Unrest(msgspec.Struct, frozen=True):
    """How many things may still change by themselves."""

    orders_pending: int
    holds: int
    parked: int


@dataclass(frozen=True, slots=True)
class OperatedSale:
    """The parts of one event that the operator's routes need."""

    event: str
    orders: Orders
    inventory: Inventory
    parking: Parking
    signer: Signer


class AdminRoutes:
    """Handlers of the operator's endpoints. Without an admin token they refuse all requests."""

    def __init__(self, sales: Sequence[OperatedSale], admin_token: str) -> None:
        self._sales = {sale.event: sale for sale in sales}
        self._first = sales[0]
        self._admin_token = admin_token

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/admin/orders", self.orders),
            Route("/admin/pending", self.pending),
            Route("/admin/passes", self.passes, methods=["POST"]),
        ]

    @operation(
        "operator",
        {200: Success("One line for each seat of each order.", media="application/x-ndjson"), 404: "no such event"},
        scheme="Bearer",
        needs=("db",),
        parameters=(Parameter("event", "query", "Which event; the first on sale, without it."),),
    )
    async def orders(self, request: Request) -> Response:
        """Every seat of every order of the event in the query (of the first, without one), as NDJSON."""
        self._authorise(request)
        rows = await self._of(request.query_params.get("event", "")).orders.export()
        return Response(msgspec.json.Encoder().encode_lines(rows), media_type="application/x-ndjson")

    @operation("operator", {200: Unrest}, scheme="Bearer", needs=("redis", "db"))
    async def pending(self, request: Request) -> Response:
        """How many orders, holds and fans are not at rest, over all events."""
        self._authorise(request)
        each = self._sales.values()
        return json_response(
            Unrest(
                orders_pending=sum([await sale.orders.unfinished_count() for sale in each]),
                holds=sum([await sale.inventory.holds_count() for sale in each]),
                parked=sum([len(await sale.parking.all()) for sale in each]),
            )
        )

    @operation("operator", {201: PassAnswer, 404: "no such event"}, body=PassRequest, scheme="Bearer")
    async def passes(self, request: Request) -> Response:
        """An operator's pass."""
        self._authorise(request)
        asked = await read_json(request, PassRequest)
        entered_s = time.time() - (2 * PASS_VALID_S if asked.expired else 0.0)
        sale = self._of(asked.event)
        signer = sale.signer.of_event(f"not {sale.event}") if asked.elsewhere else sale.signer
        given, _ = signer.admit(
            asked.fan,
            asked.fan,
            admission_no=OPERATOR_ADMISSION_NO,
            limit=asked.limit,
            entered_s=entered_s,
            access=Access.OPERATOR,
        )
        return json_response(PassAnswer(given), 201)

    def _of(self, event: str) -> OperatedSale:
        sale = self._sales.get(event) if event else self._first
        if sale is None:
            raise ProblemError(404, "no such event", f"on sale: {', '.join(self._sales)}")
        return sale

    def _authorise(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if not self._admin_token or not hmac.compare_digest(given.encode(), f"Bearer {self._admin_token}".encode()):
            raise ProblemError(401, "not authorised", "the operator's bearer token is needed")
