"""POST /webhooks/payments: the payment provider says that something happened to a charge.

A webhook is only a hint. Its signature shows that it comes from the provider. It is noted durably under its event id,
so a repeat changes nothing, and it makes recovery look at the order soon; recovery then asks the provider itself. So
webhooks may come late, twice, in any order or never.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Annotated, Final

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.http.messages import ProblemError, parse_json, read_body
from target.http.operations import Parameter, Success, operation
from target.orders.checkouts import Checkouts
from target.payments.signatures import HEADER, SignatureError, verify
from target.telemetry.metrics import WEBHOOKS

PATH: Final = "/webhooks/payments"
GRACE_S: Final = 0.5  # time for the process that works on the order, before recovery looks at it too

Text = Annotated[str, Meta(pattern=r"^[!-~]{1,255}$")]


class WebhookCharge(msgspec.Struct, frozen=True):
    """The part of a charge that the hint needs: its key. `reference`: the event on sale."""

    order_id: Text
    reference: str


class Webhook(msgspec.Struct, frozen=True):
    """A webhook's body. Unknown fields are ignored."""

    event_id: Text
    type: Text
    charge: WebhookCharge


class WebhookRoutes:
    """The handler, for all events of this process. `secret` "": every webhook is refused."""

    def __init__(self, checkouts: Iterable[Checkouts], secret: str) -> None:
        self._orders = {each.event: each.orders for each in checkouts}
        self._secret = secret

    def route(self) -> Route:
        """As the provider is told."""
        return Route(PATH, self.take, methods=["POST"])

    @operation(
        "webhooks",
        {
            204: Success("Noted, or noted before."),
            401: "not signed with the shared secret, or too long ago",
        },
        body=Webhook,
        needs=("db",),
        parameters=(Parameter("Webhook-Signature", "header", "t=<unix s>,v1=<hex HMAC-SHA256>", required=True),),
    )
    async def take(self, request: Request) -> Response:
        """Notes a webhook of the payment provider."""
        body = await read_body(request)
        try:
            verify(self._secret, request.headers.get(HEADER, ""), body, now_s=time.time())
            hint = parse_json(body, Webhook)
        except SignatureError as error:
            WEBHOOKS.labels("refused").inc()
            raise ProblemError(401, "not authorised", str(error)) from error
        except ProblemError:
            WEBHOOKS.labels("refused").inc()
            raise
        orders = self._orders.get(hint.charge.reference)
        if orders is not None:  # else the charge is for an event of another process
            fresh = await orders.hint(hint.event_id, hint.type, hint.charge.order_id, after_s=GRACE_S)
            WEBHOOKS.labels("accepted" if fresh else "repeated").inc()
        return Response(status_code=204)
