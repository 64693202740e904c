"""The little shop with its other queues, with seats and with a login: what changes in the adapter for each of them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import gatecrash.adapter as kit

from scenarios.little_shop.shop import LittleShop, Visitor, basket_of

STATES = {"free": "0", "held": "1", "sold": "2"}


class EventVisitor(Visitor):
    """--queue sse: the position comes as events."""

    def positions(self) -> Iterator[int | None]:
        for event in self.browser.events("queue/events"):
            if event.event == "called":
                return
            yield int(event.data)


class SocketVisitor(Visitor):
    """--queue websocket: the position comes over a WebSocket."""

    def positions(self) -> Iterator[int | None]:
        for message in self.browser.websocket("queue/socket"):
            told = json.loads(message)
            if told.get("called"):
                return
            yield told["position"]


class RoomVisitor(Visitor):
    """--queue room: a third party's waiting room on another host. Its page leads back to the shop when it is time."""

    def join(self) -> int | None:
        return self.place()

    def place(self) -> int | None:
        page = self.browser.get()
        if page.find("form.pool"):
            raise kit.Admitted
        return page.number("#position")

    def enter(self) -> int | None:
        return None


class LotteryVisitor(Visitor):
    """--queue lottery: places are drawn later, and with --lots some customers draw none."""

    def place(self) -> int | None:
        page = self.browser.get("queue")
        if page.find("#enter"):
            raise kit.Admitted
        if page.find("#not-drawn"):
            raise kit.Refused("not_drawn")
        return page.number("#position")


class DirectVisitor(Visitor):
    """--login, and no queue: customers log in with their row of platform.people."""

    def open(self) -> None:
        super().open()
        if self.account:  # the shop may be without --login
            form = self.browser.get("login").form("#login")
            self.said(self.browser.submit(form, name=self.account["name"], password=self.account["password"]))


class SeatVisitor(Visitor):
    """--seats: numbered seats beside the standing tickets."""

    def venue(self) -> kit.Venue:
        page = self.browser.get("seats")
        sections = tuple(
            kit.Section(
                name=section["data-section"],
                rows=tuple(
                    tuple(seat["data-seat"] for seat in row.select(".seat")) for row in section.select("[data-row]")
                ),
            )
            for section in page.select("[data-section]")
        )
        prices = {seat["data-seat"]: int(seat["data-cents"]) for seat in page.select(".seat")}
        return kit.Venue(sections=sections, prices_cents=prices)

    def seats(self) -> kit.SeatMap:
        page = self.browser.get("seats")
        states = {
            section["data-section"]: "".join(STATES[seat["class"].split()[1]] for seat in section.select(".seat"))
            for section in page.select("[data-section]")
        }
        return kit.SeatMap(states=states, stale=False)

    def feed(self, after: kit.FeedPoint | None) -> Iterator[kit.Snapshot | kit.SeatChange | kit.Resync]:
        last_id = f"{after.epoch}:{after.seq}" if after else ""
        for event in self.browser.events("feed", last_id=last_id):
            told = json.loads(event.data)
            at_s, point = told.pop("at", None), {"epoch": told["epoch"], "seq": told["seq"]}
            if event.event == "seat":
                yield kit.SeatChange(seat=told["seat"], state=told["state"], sent_unix_s=at_s, **point)
            elif event.event == "snapshot":
                yield kit.Snapshot(states=told["states"], sent_unix_s=at_s, **point)
            else:
                yield kit.Resync(**point)

    def reserve_seats(self, seats: tuple[str, ...]) -> kit.Basket:
        form = self.browser.get("seats").form("#seat-map")
        return basket_of(self.said(self.browser.submit(form, seat=seats)))


class MemberVisitor(SeatVisitor, EventVisitor, DirectVisitor):
    """--login --queue sse --seats: members wait for numbered seats."""


class DrawnVisitor(SeatVisitor, LotteryVisitor):
    """--queue lottery --seats."""


class EventShop(LittleShop):
    shopper = EventVisitor


class SocketShop(LittleShop):
    shopper = SocketVisitor


class RoomShop(LittleShop):
    shopper = RoomVisitor


class LotteryShop(LittleShop):
    shopper = LotteryVisitor


class DirectShop(LittleShop):
    capabilities = LittleShop.capabilities - {kit.Capability.QUEUE}
    shopper = DirectVisitor


class SeatShop(LittleShop):
    """Both kinds in one sale, with a feed of the seats."""

    capabilities = DirectShop.capabilities | {kit.Capability.SEATS, kit.Capability.FEED}
    shopper = SeatVisitor

    def seats(self, api: kit.Browser) -> Iterator[kit.SeatAtRest]:
        for seat in self.read(api, "stock").json["seats"]:
            yield kit.SeatAtRest(seat=seat["name"], state=seat["state"])


class MemberShop(SeatShop):
    """Members only, and nothing but seats."""

    capabilities = SeatShop.capabilities - {kit.Capability.STOCK} | {kit.Capability.QUEUE}
    shopper = MemberVisitor


class DrawnShop(SeatShop):
    """A lottery for seats and standing tickets."""

    capabilities = SeatShop.capabilities | {kit.Capability.QUEUE}
    shopper = DrawnVisitor
