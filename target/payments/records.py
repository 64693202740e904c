"""Types of the provider: charges, refunds, entries of its ledger, and refusals."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta

SLOW_CARD: Final = "slow"  # this card is charged at once, but the answer comes late
DECLINE_CODES: Final = {
    "declined": "generic_decline",
    "insufficient_funds": "insufficient_funds",
    "expired": "expired_card",
}  # cards that the provider declines → its decline code; every other card is good

AMOUNT_CENTS_MAX: Final = 10**11

Text = Annotated[str, Meta(max_length=255)]


class ChargeStatus(StrEnum):
    """authorised: the money is set aside, and a capture or a void is to follow."""

    AUTHORISED = "authorised"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"


class ChargeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /charges. `capture` false: authorise only. `reference`: returned in webhooks unchanged."""

    order_id: Text
    amount_cents: Annotated[int, Meta(gt=0, le=AMOUNT_CENTS_MAX)]
    card: Text
    capture: bool = True
    reference: Text = ""


class Charge(msgspec.Struct, frozen=True):
    """What the provider answers about a charge."""

    charge_id: str
    status: ChargeStatus
    order_id: str
    amount_cents: int
    decline_code: str = ""
    reference: str = ""
    refunded: bool = False


class Refund(msgspec.Struct, frozen=True):
    """What the provider answers about a refund: always of the whole charge."""

    refund_id: str
    charge_id: str


class LedgerRow(msgspec.Struct, frozen=True):
    """One entry of the ledger export. `entry`: capture | refund | decline. A mere authorisation is no entry.

    `card`: whose money it was.
    """

    charge_id: str
    idempotency_key: str
    order_id: str
    entry: str
    amount_cents: int
    card: str


class WebhookEvent(msgspec.Struct, frozen=True):
    """What a webhook carries: something happened to a charge. `type`: charge.captured, charge.refunded and so on."""

    event_id: str
    type: str
    created_s: float
    charge: Charge


class ChargeKeyReusedError(Exception):
    """The idempotency key was used before, with another body."""


class NotRefundableError(Exception):
    """There is no such charge, or it was never captured."""


class NoSuchChargeError(Exception):
    """There is no such charge."""


class WrongStatusError(Exception):
    """The charge can no longer be captured or voided: `charge` has its status."""

    def __init__(self, charge: Charge) -> None:
        super().__init__(charge.status)
        self.charge = charge


REFUSALS: Final = (ChargeKeyReusedError, NotRefundableError, NoSuchChargeError, WrongStatusError)
