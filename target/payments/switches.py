"""Switches that make the provider misbehave: for charges, and for the webhooks that report them."""

from __future__ import annotations

import random
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

DELAY_S_MAX: Final = 3600.0

Ratio = Annotated[float, Meta(ge=0, le=1)]
Delay = Annotated[float, Meta(ge=0, le=DELAY_S_MAX)]
ChargeSwitch: TypeAlias = Literal["normal", "slow", "capture_then_timeout", "capture_then_error", "error"]
WebhookSwitch: TypeAlias = Literal["normal", "late", "duplicate", "lost", "out_of_order"]


class SwitchesError(ValueError):
    """Unknown switches or bad values; the text is one line for the user."""


class Switches(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Each ratio is the share of charges, or of webhooks, that the switch beside it applies to.

    charge: slow takes `charge_delay_s` before it does anything, capture_then_timeout does it at once and answers that
    much later; capture_then_error does it and answers 500, error does nothing and answers 500. This goes for charges
    and for captures of what was authorised. webhooks: late ones come `webhook_delay_s` later, out_of_order ones are
    gathered for so long (twice at most) and sent newest first, duplicate ones come twice, lost ones never.
    """

    charge: ChargeSwitch = "normal"
    charge_ratio: Ratio = 1.0
    charge_delay_s: Delay = 8.0
    webhooks: WebhookSwitch = "normal"
    webhook_ratio: Ratio = 1.0
    webhook_delay_s: Delay = 5.0

    def draw_charge(self) -> ChargeSwitch:
        """What happens to the next charge."""
        return self.charge if random.random() < self.charge_ratio else "normal"

    def draw_webhook(self) -> WebhookSwitch:
        """What happens to the next webhook."""
        return self.webhooks if random.random() < self.webhook_ratio else "normal"


def parse(text: str) -> Switches:
    """Switches from `name=value,name=value`; "" is a provider without fault. Raises `SwitchesError`."""
    pairs = [pair.partition("=") for pair in text.split(",") if pair]
    try:
        return msgspec.convert({name: value for name, _, value in pairs}, Switches, strict=False)
    except msgspec.ValidationError as error:
        raise SwitchesError(f"{text!r}: {error}") from error
