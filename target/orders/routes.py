"""The routes of checkouts: paying for a hold, looking an order up."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import DEVICE_PARAMETER, RETRY_AFTER_S, ProblemError, json_response, read_json, require_pass
from target.http.operations import Parameter, Success, operation
from target.http.tickets import HoldToken, Pass, Signer, TokenError
from target.orders.checkouts import Checkouts
from target.orders.orders import Checkout, OrderState, OverLimitError, order_id_for
from target.orders.saga import KeyReusedError, Receipt
from target.seats import HoldGoneError, Venue
from target.telemetry.metrics import FALLBACKS

KEY_LENGTH_MAX: Final = 128
ORDER_ID: Final = "^o[0-9a-f]{24}$"
CARD: Final = "^(ok(-[0-9a-z]{1,64})?|declined|insufficient_funds|expired|slow)$"
STATUS_OF: Final = {OrderState.CONFIRMED: 201, OrderState.PENDING: 202, OrderState.DECLINED: 402}


class OrderRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The hold to pay for, and the card: of those that the provider knows. `ok-NAME` is a good one of one's own."""

    hold_id: Annotated[str, Meta(min_length=1, max_length=4096)]
    card: Annotated[str, Meta(pattern=CARD)]


class OrderAnswer(msgspec.Struct, frozen=True):
    """An order as its fan sees it. `stale`: the primary is away, and the order may have moved on since."""

    order_id: str
    state: OrderState
    seats: tuple[str, ...]
    amount_cents: int
    stale: bool


IdempotencyKey = Annotated[str, Meta(min_length=1, max_length=KEY_LENGTH_MAX)]


class OrderRoutes:
    """Handlers of one event's orders."""

    def __init__(self, signer: Signer, venue: Venue, checkouts: Checkouts) -> None:
        self._event = checkouts.event
        self._signer = signer
        self._venue = venue
        self._saga = checkouts.saga

    def routes(self) -> list[Route]:
        """As the public API names them."""
        return [
            Route(f"/api/events/{self._event}/orders", self.pay, methods=["POST"]),
        ]

    @operation(
        "orders",
        {
            201: Success("Paid and confirmed.", Receipt),
            202: Success("Pending: look the order up again.", Receipt, headers=("retry-after",)),
            402: Success("The card was declined; the hold stays until it expires.", Receipt),
            410: "the hold or the order is over",
            422: "not the right shape, no such hold, over the limit, no Idempotency-Key, or one of another checkout",
        },
        body=OrderRequest,
        scheme="Pass",
        needs=("redis", "db"),
        parameters=(
            DEVICE_PARAMETER,
            Parameter("Idempotency-Key", "header", "Names the checkout.", IdempotencyKey, required=True),
        ),
    )
    async def pay(self, request: Request) -> Response:
        """Runs the checkout as far as possible now; a repeat of the key gets the order's present state."""
        owner = require_pass(request, self._signer)
        key = request.headers.get("idempotency-key", "")
        if not 0 < len(key) <= KEY_LENGTH_MAX:
            raise ProblemError(422, "an Idempotency-Key is needed", f"of 1 to {KEY_LENGTH_MAX} characters")
        asked = await read_json(request, OrderRequest)
        hold = self._hold(owner, asked.hold_id)
        try:
            receipt = await self._saga.checkout(
                self._checkout(owner, hold, asked, key), hold_expires_at_s=hold.expires_s
            )
        except HoldGoneError as error:
            raise ProblemError(410, "the hold is over", "its seats may be held by somebody else by now") from error
        except OverLimitError as error:
            raise ProblemError(422, "over the purchase limit", extra={"limit": owner.limit}) from error
        except KeyReusedError as error:
            raise ProblemError(422, "the Idempotency-Key was used for another checkout") from error
        return _answer(receipt)

    async def order(self, request: Request) -> Response:
        """One order of the fan. While the primary is away: the parked checkout, or the order on the replica."""
        owner = require_pass(request, self._signer)
        order_id = request.path_params["order_id"]
        order, stale = await self._saga.find(order_id) if re.fullmatch(ORDER_ID, order_id) else (None, False)
        if order is None or order.fan != owner.fan:
            raise ProblemError(404, "no such order", "you were charged nothing under this id")
        if stale:
            FALLBACKS.labels("stale_order").inc()
        state = OrderState.PENDING if isinstance(order, Checkout) else order.state
        answer = OrderAnswer(order.order_id, state, order.seats, order.amount_cents, stale)
        return json_response(answer, headers={"cache-control": "no-store"})

    def gave(self, request: Request) -> bool:
        """Whether the request carries a pass to this event."""
        with contextlib.suppress(ProblemError):
            require_pass(request, self._signer)
            return True
        return False

    def _hold(self, owner: Pass, hold_id: str) -> HoldToken:
        """The hold as it was signed; Redis decides whether it is still alive."""
        try:
            hold = self._signer.read(HoldToken, hold_id, expired_too=True)
        except TokenError as error:
            raise ProblemError(422, "no such hold", str(error)) from error
        if hold.fan != owner.fan:
            raise ProblemError(410, "the hold is over", "it is not yours")
        return hold

    def _checkout(self, owner: Pass, hold: HoldToken, asked: OrderRequest, key: str) -> Checkout:
        return Checkout(
            order_id=order_id_for(hold.event, owner.fan, key),
            event=hold.event,
            fan=owner.fan,
            identity=hold.identity,
            hold_id=asked.hold_id,
            idempotency_key=key,
            card=asked.card,
            seats=hold.seats,
            prices_cents=tuple(self._venue.price_cents(seat) for seat in hold.seats),
            limit=owner.limit,
            asked_at_s=time.time(),
        )


class OrderLookup:
    """Handler of orders by their id, for the event of the pass."""

    def __init__(self, events: Iterable[OrderRoutes]) -> None:
        self._events = tuple(events)

    def route(self) -> Route:
        """As the public API names it."""
        return Route("/api/orders/{order_id}", self.order)

    @operation(
        "orders",
        {200: OrderAnswer, 400: "the Device header is too long", 404: "no such order of this fan"},
        scheme="Pass",
        needs=("db",),
        parameters=(
            DEVICE_PARAMETER,
            Parameter("order_id", "path", "As the checkout was answered.", Annotated[str, Meta(pattern=ORDER_ID)]),
        ),
    )
    async def order(self, request: Request) -> Response:
        """One order of the fan."""
        return await next((event for event in self._events if event.gave(request)), self._events[0]).order(request)


def _answer(receipt: Receipt) -> Response:
    if receipt.state not in STATUS_OF:
        raise ProblemError(
            410, f"the order is {receipt.state}", extra={"order_id": receipt.order_id, "state": receipt.state}
        )
    status = STATUS_OF[receipt.state]
    headers = {"cache-control": "no-store"}
    if status == 202:
        headers["retry-after"] = str(RETRY_AFTER_S)
    return json_response(receipt, status, headers)
