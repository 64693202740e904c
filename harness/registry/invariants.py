"""The invariants by name: what each says, and what must be recorded to check it. `harness.audit` has the checkers."""

from __future__ import annotations

from typing import Final

import msgspec


class Invariant(msgspec.Struct, frozen=True, kw_only=True):
    """One invariant. `check`: what the checker compares, seen from outside the platform.

    `chance`: what puts the invariant to the test; `Tally.chances` counts it. `exercised_by`: what the record must
    contain for that: names of operations, of streams of events, or of tables. Without them there is no chance, as the
    self-test shows. `needs`: capabilities without which it cannot be checked. `only_of`: the invariant is about
    platforms with this capability only; `not_of`: about those without this one. `by_absence`: it is violated when
    something did not happen before, so a lost operation can look like a violation. `at_rest`: it is judged only where
    the platform came to rest. `counts_orders`: it counts the tickets or the cents of exported orders, and is undecided
    where an export lists rows again. `plugin`: the plugin that it is of, "" for our own;
    `to_do`: of a plugin's, what to do when it is violated.
    """

    name: str
    title: str
    check: str
    chance: str
    exercised_by: tuple[str, ...]
    needs: tuple[str, ...] = ()
    only_of: str = ""
    not_of: str = ""
    by_absence: bool = False
    at_rest: bool = False
    counts_orders: bool = False
    to_do: str = ""
    plugin: str = ""


_ALL: Final = (
    Invariant(
        name="no_double_sell",
        title="No seat is sold twice",
        check="At most one confirmed order per seat across what fans were told and the order export at rest.",
        chance="seats that a fan asked for while another had or wanted them",
        exercised_by=("hold", "pay", "sweep"),
        needs=("seats",),
    ),
    Invariant(
        name="no_lost_booking",
        title="No booking is lost, and what fans were told stands",
        check="Every yes and no that a fan was told stands at rest and in later answers, for that fan and those seats.",
        chance="confirmations and refusals that fans were told",
        exercised_by=("pay", "order"),
        needs=("order_export",),
        at_rest=True,
    ),
    Invariant(
        name="no_lost_order",
        title="No acknowledged order is lost",
        check="Every acknowledged order, pending ones too, is at an end at rest: in the export, and as its fan "
        "reads it.",
        chance="acknowledged orders",
        exercised_by=("pay", "order"),
        needs=("order_export",),
        at_rest=True,
    ),
    Invariant(
        name="seat_conservation",
        title="No seat appears or vanishes",
        check="Sold + held + free = capacity at rest, each seat once, and every sold seat has a confirmed order.",
        chance="seats that changed hands during the sale",
        exercised_by=("hold", "final_seats"),
        needs=("seats",),
        at_rest=True,
    ),
    Invariant(
        name="no_leaked_hold",
        title="No hold stays after its time",
        check="At rest no seat is held, and every unpaid seat that is swept can be held again.",
        chance="unpaid holds whose seats were swept, or sold to others",
        exercised_by=("hold",),
        needs=("seats",),
        at_rest=True,
        not_of="no_hold",
    ),
    Invariant(
        name="granted_as_asked",
        title="A hold is granted as it was asked for",
        check="A grant is of exactly the seats that were asked for, and for the time that the on-sale declares.",
        chance="granted holds of which it is known what was asked for",
        exercised_by=("hold",),
        needs=("seats",),
        not_of="no_hold",
    ),
    Invariant(
        name="no_early_expiry",
        title="No hold ends before its time",
        check="Until request + time to live nobody else is granted or sold the seat, or can release the hold, and no "
        "holder is told it is gone.",
        chance="holds that lived to their end, baskets that were asked for in time, and holds that somebody else tried "
        "to end",
        exercised_by=("hold",),
        by_absence=True,
        not_of="no_hold",
    ),
    Invariant(
        name="no_late_expiry",
        title="No hold outlives its time while the sale goes on",
        check="Nobody sees a seat taken when every hold of it has been over for longer than the stated bound.",
        chance="holds that lived to their end and were looked at afterwards",
        exercised_by=("hold",),
        needs=("seats",),
        by_absence=True,
        at_rest=True,
        not_of="no_hold",
    ),
    Invariant(
        name="no_sold_seat_granted",
        title="No sold seat is granted again",
        check="After a fan was told that a seat is sold to them, nobody is granted a hold of it.",
        chance="sold seats that somebody asked for",
        exercised_by=("hold", "sweep"),
        needs=("seats",),
        not_of="no_hold",
    ),
    Invariant(
        name="map_honest",
        title="No taken seat is shown free",
        check="On a map that is not marked stale nothing is free that was held or sold longer ago than the stated "
        "bound, and nothing is taken that nobody asked for.",
        chance="seats surely taken, at each look at a fresh map, and sections with some, at each fresh count",
        exercised_by=("look", "count"),
        needs=("seats",),
    ),
    Invariant(
        name="money_reconciles",
        title="Orders and charges agree to the cent",
        check="Each order is charged once and ticketed, or refunded, or not charged; the ledger has nothing else.",
        chance="orders with a capture, a refund or an unanswered payment",
        exercised_by=("pay", "final_ledger"),
        needs=("order_export", "ledger_export"),
        at_rest=True,
        counts_orders=True,
    ),
    Invariant(
        name="charged_as_shown",
        title="Fans are charged what they were shown",
        check="The price of the seats when chosen is what is ordered, told, captured and refunded, to the cent.",
        chance="orders whose price was shown before they were paid",
        exercised_by=("pay",),
        counts_orders=True,
    ),
    Invariant(
        name="one_key_one_purchase",
        title="One idempotency key buys once",
        check="All answers to one key name one order, charged once; a used key buys nothing else, and neither it nor "
        "its order answers anybody else.",
        chance="idempotency keys that were used again",
        exercised_by=("pay", "reuse"),
        needs=("order_export", "same_key"),
    ),
    Invariant(
        name="purchase_limit",
        title="Nobody buys more than allowed",
        check="Seats per identity, over all sessions, devices and tries, are at most the purchase limit; those of one "
        "order are at most the order limit.",
        chance="identities at their limit that asked for one more seat, or for more than one order may have",
        exercised_by=("hold", "pay"),
        counts_orders=True,
    ),
    Invariant(
        name="accessible_kept",
        title="Accessible seats are kept for those who need them",
        check="No accessible seat is granted or sold to a fan who declared no need, no companion seat without its "
        "wheelchair place, and who declared the need is not refused for lack of it.",
        chance="requests for accessible seats without the need, or for companion seats alone, that had a clear answer",
        exercised_by=("hold", "choose", "pay"),
        needs=("seats", "accessible"),
        only_of="accessible",
    ),
    Invariant(
        name="refused_for_cause",
        title="Nobody is refused without a cause",
        check="A refusal of seats, a payment or entry has a cause that was there: seats that somebody had, nothing "
        "left, a limit that was reached, a card that was declined, a ticket that was used.",
        chance="refusals whose cause can be checked, fans who came in, and seats that were asked for again after "
        "others were given back",
        exercised_by=("join", "positions", "enter", "hold", "pay"),
        by_absence=True,
    ),
    Invariant(
        name="no_oversell",
        title="No more is sold than there is",
        check="Confirmed orders, and what is surely held at any moment, are at most the declared stock of the pool.",
        chance="tickets that were asked for when not enough were left for all who wanted them",
        exercised_by=("hold", "pay"),
        needs=("stock",),
        only_of="stock",
        counts_orders=True,
    ),
    Invariant(
        name="bought_as_told",
        title="Fans get as many as they asked for, at the price they were told",
        check="Number of tickets and cents agree as asked, as told and as exported; no part counts as yes or as no.",
        chance="confirmed orders whose payment was answered",
        exercised_by=("pay",),
        needs=("order_export",),
        at_rest=True,
        counts_orders=True,
    ),
    Invariant(
        name="no_unasked_purchase",
        title="Nobody buys more often than they meant to",
        check="No fan has more confirmed orders than purchases they asked for, whatever was retried.",
        chance="purchases that were sent again, or had no answer",
        exercised_by=("pay",),
        needs=("order_export",),
        by_absence=True,
        at_rest=True,
    ),
    Invariant(
        name="no_leaked_stock",
        title="No ticket of a pool appears or vanishes",
        check="Free + sold = stock at rest, and nothing is held.",
        chance="baskets, or purchases where baskets keep nothing, that were asked for and became no order",
        exercised_by=("hold",),
        needs=("stock",),
        only_of="stock",
        at_rest=True,
    ),
    Invariant(
        name="queue_order",
        title="First come, first admitted",
        check="By the declared policy: who surely joined first is admitted first; or lots as their seed draws "
        "them, else as fans were told their places.",
        chance="pairs of fans admitted in one epoch of whom one surely joined, or was drawn, first",
        exercised_by=("join",),
        needs=("queue",),
        by_absence=True,
    ),
    Invariant(
        name="place_kept",
        title="A place outlives losses",
        check="After a loss of the queue's store or of a stream nobody is overtaken by a fan who joined later.",
        chance="fans who waited over a loss and were admitted, while fans who joined later were admitted after it too",
        exercised_by=("join",),
        needs=("queue",),
        by_absence=True,
    ),
    Invariant(
        name="position_monotonic",
        title="Places in line are true, and never get worse",
        check="Within an epoch no fan is told a later position than before, also after a reconnect, nor one that their "
        "admission shows to be wrong.",
        chance="positions told after another of the same fan, wait and epoch, or before an admission that shows them",
        exercised_by=("join", "positions"),
        needs=("queue",),
    ),
    Invariant(
        name="no_queue_bypass",
        title="Nobody gets past the queue",
        check="No hold without a pass, no pass without a place; forged tickets, invented codes and probes never get "
        "as far as a hold; an access code lets one fan in, and an identity too where the sale says so.",
        chance="tries to get past the queue that had a clear answer",
        exercised_by=("join", "probe"),
        needs=("queue",),
        by_absence=True,
    ),
    Invariant(
        name="admission_rate",
        title="Nobody is let in too fast",
        check="In no stretch of time more fans are admitted than rate × length + burst.",
        chance="fans who waited already when the burst-th fan before them was let in",
        exercised_by=("enter",),
        needs=("queue",),
    ),
    Invariant(
        name="feed_gap_free",
        title="No seat change is missed",
        check="Contiguous sequence numbers per follower and epoch, or an explicit resync; changes add up to each "
        "snapshot.",
        chance="changes and snapshots that followed a known point, and maps compared with the sum of changes",
        exercised_by=("feed",),
        needs=("feed",),
    ),
)
INVARIANTS: Final[dict[str, Invariant]] = {each.name: each for each in _ALL}
"""Scenario files name them in `invariants`; reports show them in this order."""
