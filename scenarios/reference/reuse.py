"""A used idempotency key with another purchase, tried at rest: it must not be charged nor taken for the first one.

A stranger tries one too: keys are each fan's own, so it must not be answered with that fan's order. Nor must the
stranger be shown the order, whose id is known to who is told of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from harness.platform import Call, FinalOrder, Person
from harness.record.schema import Function, Outcome
from harness.swarm.client.http import Endpoint, HttpClient
from harness.swarm.recording.recorder import Recorder
from scenarios.reference import api

_PAY: Final = Endpoint("settle", "POST", frozenset({200, 201, 202, 402, 409, 410, 422}))
_REFUSED: Final = frozenset({402, 409, 410, 422})
_USED: Final = 422  # by another checkout
TRIES: Final = 3
STRANGER: Final = "prober-key"


def reused_orders(orders: Sequence[FinalOrder]) -> tuple[FinalOrder, ...]:
    """A few confirmed ones, of fans who have the fewest seats: a purchase limit would hide what is tried here."""
    confirmed = [order for order in orders if order.state == "confirmed" and _is_token(order.idempotency_key)]
    seats = Counter(order.fan for order in confirmed)
    one_of_each = {order.fan: order for order in confirmed}.values()
    return tuple(sorted(one_of_each, key=lambda order: (seats[order.fan], order.order_id))[:TRIES])


def _is_token(key: str) -> bool:
    """Whether it can be sent in a header."""
    return key != "" and key.isascii() and key.isprintable() and " " not in key


def reuse_key(
    client: HttpClient,
    recorder: Recorder,
    base: str,
    order: FinalOrder,
    seat: str,
    pass_for: Callable[[str], bytes],
    fan: str = "",
) -> None:
    """Hold a free seat, pay for it with the key of the order, give the seat back.

    In the name of the order's fan, or of this one, whose card is declined: it would be a purchase of their own.
    """
    name, card = fan or order.fan, api.card_of(order.fan, declined=bool(fan))
    person = Person(user=-1, kind="operator", actor=name, identity=name)
    authority = pass_for(name) + api.JSON_BODY
    body = msgspec.json.encode({"seats": [seat]})
    held = api.read(client.call(api.SETTLE_POST, f"{base}/holds", Call.now(), authority, body), api.HoldAnswer)
    if held is None:
        return
    tried: dict[str, object] = {"order_id": order.order_id, "seats": [seat]}
    if fan:
        shown = client.call(api.SETTLE_GET, api.order_path(order.order_id), Call.now(), authority)
        seen = api.read(shown, api.OrderAnswer)
        tried |= {"read": seen.state} if seen else {}
    operation = recorder.begin(person, Function.REUSE, Call.now(), key=order.idempotency_key, value=tried)
    headers = authority + f"Idempotency-Key: {order.idempotency_key}\r\n".encode()
    body = msgspec.json.encode({"hold_id": held.hold_id, "card": card})
    response = client.call(_PAY, f"{base}/orders", operation.call, headers, body)
    answer = api.read(response, api.OrderAnswer)
    if answer is not None:
        answered = {**tried, "answered_id": answer.order_id, "answered_seats": answer.seats}
        operation.end(Outcome.OK, value=answered, t_end_s=response.t_end_s)
    else:
        refused = response.status in _REFUSED
        error = "used" if response.status == _USED else "status"
        operation.end(Outcome.FAIL if refused else Outcome.UNKNOWN, error=error, t_end_s=response.t_end_s)
    client.call(api.SETTLE_DELETE, api.hold_path(base, held.hold_id), operation.call_now(), authority)
