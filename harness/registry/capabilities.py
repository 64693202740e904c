"""The capabilities that a platform's adapter can declare, with what each gives a rehearsal."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final


class Capability(StrEnum):
    """What a platform can show or do. A checker whose evidence is missing says `not_observable`, never `held`."""

    QUEUE = "queue"
    SEATS = "seats"
    ACCESSIBLE = "accessible"
    STOCK = "stock"
    NO_HOLD = "no_hold"
    HOLD_RELEASE = "hold_release"
    FEED = "feed"
    LOOKUP = "lookup"
    ORDER_EXPORT = "order_export"
    LEDGER_EXPORT = "ledger_export"
    SAME_KEY = "same_key"
    SWEEP = "sweep"
    PROBES = "probes"


WORDS: Final[dict[Capability, str]] = {
    Capability.QUEUE: "fans wait in a queue before they may buy",
    Capability.SEATS: "fans choose named seats from a map",
    Capability.ACCESSIBLE: "some seats are kept for fans who declare that they need an accessible one",
    Capability.STOCK: "fans choose how many tickets they want of a pool",
    Capability.NO_HOLD: "choosing keeps nothing: whether something is left shows when it is bought",
    Capability.HOLD_RELEASE: "a fan can give a hold or a basket back",
    Capability.FEED: "spectators follow every change of a seat",
    Capability.LOOKUP: "a fan can look up an order",
    Capability.ORDER_EXPORT: "an operator can export all orders",
    Capability.LEDGER_EXPORT: "an operator can export what was charged and refunded",
    Capability.SAME_KEY: "a purchase that is sent again with the same key is promised to be the same purchase",
    Capability.SWEEP: "an operator can try to hold any seat at rest",
    Capability.PROBES: "an operator can let probes past the queue",
}
"""What each of them means, for people."""


def in_words(names: Iterable[str]) -> str:
    """Capabilities by name, each with its meaning where it is one that is known."""
    known = {capability.value: words for capability, words in WORDS.items()}
    return ", ".join(f"{name} ({known[name]})" if name in known else name for name in names)
