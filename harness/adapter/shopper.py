"""What a customer does on a platform of one's own: an adapter overrides the verbs of the capabilities it declares.

A verb makes requests with `self.browser` and returns what the fan was shown. It raises `Refused` when the platform says
no. Everything else is the kit's: outcomes, operations, times, retries, rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import ClassVar, Final

from harness.adapter.browsing.browser import Browser
from harness.adapter.browsing.page import Form, Page
from harness.adapter.browsing.site import joined
from harness.adapter.errors import Refused
from harness.adapter.values import (
    Basket,
    FeedPoint,
    Placed,
    Resync,
    SeatChange,
    ShownSeat,
    Snapshot,
    seat_map_of,
    venue_of,
)
from harness.platform import Person, Pool, SeatMap, Venue
from harness.record.schema import WITHHELD
from harness.registry.capabilities import Capability

_WORDS: Final = frozenset({"conflict", "limit", "declined", "expired", "missing", WITHHELD})
STATUS_REFUSALS: Final[Mapping[int | str, str]] = {
    402: "declined", 404: "missing", 409: "conflict", 410: "expired", 422: "limit",
}  # fmt: skip
"""What statuses mean where a shop goes by their names."""
MAIL_HOST: Final = "fans.gatecrash.test"
"""Where the fans' e-mail addresses end; `.test` belongs to nobody (RFC 2606)."""


class Shopper:
    """One customer, with a browser of their own. An adapter subclasses it; `__init__`, if any, takes no arguments."""

    first_page: ClassVar[str] = ""
    """The page that is asked for at T0: sent as a prepared request. "": the path of the platform's url."""
    poll_s: ClassVar[float] = 1.0
    """How often `place` is asked."""
    complaint: ClassVar[str] = ""
    """Where the shop says no, for `said`: the CSS selector of what a page shows then, of an answer in JSON the key; "":
    nowhere but by the status."""
    refusals: ClassVar[Mapping[int | str, str]] = STATUS_REFUSALS
    """What the shop says → the word of `Refused`, for `said`. A status; or a code or words of the complaint."""
    same_key_same_purchase: ClassVar[bool] = False
    """The platform promises that a purchase sent again with the same key is the same purchase: then a fan who got no
    answer sends it again. Otherwise they look whether it happened (`resume_buy`)."""

    browser: Browser
    """Keeps this customer's cookies and connections."""
    person: Person
    """Who they are in the record."""
    settings: Mapping[str, str | int | float | bool]
    """Those of the scenario, as `prepare` left them."""
    secrets: Mapping[str, str]
    """Name → value, for what must never be recorded."""
    account: Mapping[str, str]
    """Their row of the people file; empty without one."""

    @property
    def email(self) -> str:
        """An address that is this fan's alone, and that the kit knows again in the operator's export."""
        return f"{self.person.actor}@{MAIL_HOST}"

    @cached_property
    def forms(self) -> dict[str, Form]:
        """Forms that this customer keeps by names of the adapter's: to post one again, as after an answer that was
        lost."""
        return {}

    def open(self) -> None:
        """Come to the sale: the first page, and whatever follows it (a login, a cookie banner)."""
        self.browser.get(self.first_page)

    def said(self, page: Page) -> Page:
        """The page, unless the shop says no on it: raises Refused by `complaint` and `refusals`."""
        found = page.complaint(self.complaint) if self.complaint else None
        if found is not None:
            raise Refused(self._word_of(*found))
        if page.status in self.refusals:
            raise Refused(self.refusals[page.status])
        return page

    def _word_of(self, marks: Sequence[str], text: str) -> str:
        """The word for a complaint: as `refusals` has it, else one of ours that it carries, else its own."""
        for told, word in self.refusals.items():
            if isinstance(told, str) and (told in marks or told.lower() in text.lower()):
                return word
        return next((mark for mark in marks if mark in _WORDS), text or " ".join(marks))

    def finished(self, page: Page, *, every_s: float = 0.5, within_s: float = 60.0) -> Page:
        """The page, or if something is still being done (202, or a page that reloads itself) what follows it.

        It is asked for again with the same headers, or what its `Location` names.
        """
        named = page.header("location")
        task = joined(page.url, named) if named else page.url

        def look() -> Page | None:
            found = self.browser.get(task, headers=page.headers_sent)
            return None if found.is_working else found

        return self.browser.poll(look, every_s=every_s, within_s=within_s) if page.is_working else page

    # QUEUE

    def join(self) -> int | None:
        """Take a place; the position, null when none is shown."""
        raise NotImplementedError

    def place(self) -> int | None:
        """The position now, asked every `poll_s`. Raises `Admitted` when the fan is called in.

        Refused "not_drawn": a lottery that this fan did not win; "expired": the place is lost, and a new one is taken.
        """
        raise NotImplementedError

    def positions(self) -> Iterator[int | None]:
        """The positions as a stream tells them, instead of `place`; it returns when the fan is called in."""
        raise NotImplementedError

    def enter(self) -> int | None:
        """Go in; the number of the admission, null when none is shown."""
        return None

    # SEATS

    def shown_seats(self) -> Iterable[ShownSeat]:
        """Every seat of the seat map, the sold ones too: `venue` and `seats` in one, for a shop that shows all of it on
        one page."""
        raise NotImplementedError

    def venue(self) -> Venue:
        """The layout: sections, rows, prices. Unless it is written: that of `shown_seats`."""
        return venue_of(self.shown_seats())

    def seats(self) -> SeatMap:
        """Every seat's state. Unless it is written: those of `shown_seats`."""
        return seat_map_of(self.shown_seats())

    def reserve_seats(self, seats: tuple[str, ...]) -> Basket:
        """Keep these seats. Refused "conflict": one of them is taken; "limit".

        With ACCESSIBLE also "accessible": one of them is kept for fans who declare the need, as this one does where
        `self.person.needs_accessible`, or is a companion seat by itself.
        """
        raise NotImplementedError

    # STOCK

    def left(self) -> list[Pool]:
        """What is left, pool by pool."""
        raise NotImplementedError

    def reserve(self, pool: str, quantity: int) -> Basket:
        """Keep so many tickets of a pool. Refused "conflict": not so many are left; "limit".

        With NO_HOLD: put them into the basket, which keeps nothing. Nothing else may be left in it, e.g. of a purchase
        that was refused.
        """
        raise NotImplementedError

    # FEED

    def feed(self, after: FeedPoint | None) -> Iterator[Snapshot | SeatChange | Resync]:
        """Every change of a seat as it is told: a snapshot first, then changes that are numbered without a gap.

        `after`: how far this spectator was told before; go on from there, or begin with a resync and a snapshot. Null:
        from the beginning. It returns when the platform ends it.
        """
        raise NotImplementedError

    # Both

    def give_back(self, basket: Basket) -> None:
        """HOLD_RELEASE: give a basket back. Refused "expired": it was gone."""
        raise NotImplementedError

    def buy(self, basket: Basket, key: str, *, declined: bool) -> Placed:
        """Buy what is kept; `key` is the purchase's own. `declined`: with a card that the provider declines.

        Refused "declined"; "expired": the basket was gone; "limit"; "conflict": the last one went, with NO_HOLD.
        """
        raise NotImplementedError

    def look_up(self, order_id: str) -> Placed:
        """LOOKUP: how an order stands. Refused "missing": there is none."""
        raise NotImplementedError

    # After an unknown end: look, never do it again

    def basket(self) -> Basket | None:
        """What is in the fan's basket now; null: nothing."""
        raise NotImplementedError

    def resume_reserve(self, pool: str, quantity: int, resume: object) -> Basket | None:  # noqa: ARG002
        """Whether a `reserve` that got no answer happened: what it got, null when it surely did not happen.

        `resume`: what `Refused` was raised with. Without it, and without `basket`, the fan gives up.
        """
        return self.basket()

    def resume_buy(self, basket: Basket, key: str, resume: object) -> Placed | None:  # noqa: ARG002
        """Whether a `buy` that got no answer happened; null when it surely did not, and the fan buys again.

        While the platform still works on it neither is sure: poll, or raise Refused with `unknown`, to be asked again.
        By itself it looks up the order whose id `Refused` was raised with as `resume`; without one the fan gives up.
        """
        if isinstance(resume, str) and resume:
            return self.look_up(resume)
        raise NotImplementedError


VERBS: Final[dict[Capability, tuple[tuple[str, ...], ...]]] = {
    Capability.QUEUE: (("join",), ("place", "positions")),
    Capability.SEATS: (("venue", "shown_seats"), ("seats", "shown_seats"), ("reserve_seats",), ("buy",)),
    Capability.STOCK: (("left",), ("reserve",), ("buy",)),
    Capability.FEED: (("feed",),),
    Capability.HOLD_RELEASE: (("give_back",),),
    Capability.LOOKUP: (("look_up",),),
}
"""The verbs that a capability needs: of each group one."""


def is_written(shopper: type[Shopper], verb: str) -> bool:
    """Whether an adapter has a verb of its own."""
    return getattr(shopper, verb) is not getattr(Shopper, verb)
