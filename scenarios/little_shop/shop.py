"""The little shop as its customers and its operator see it: an adapter as you would write one for your own shop."""

from __future__ import annotations

import csv
from collections.abc import Iterator

import gatecrash.adapter as kit

CARD, DECLINED_CARD = "4242424242424242", "4000000000000002"
WORDS = {"sold-out": "conflict", "taken": "conflict"}  # the shop's codes for which gatecrash has another word


class Visitor(kit.Shopper):
    """One customer. Each method does what a person does next, and returns what the pages said."""

    same_key_same_purchase = True  # posting the checkout form again is the same order
    poll_s = 0.5

    def __init__(self) -> None:
        self.checkouts: dict[str, kit.Form] = {}  # by key

    def join(self) -> int | None:
        page = self.browser.get()
        return number(self.browser.submit(page.form("#join")) if page.find("#join") else page, "#position")

    def place(self) -> int | None:
        page = self.browser.get("queue")
        if page.find("#enter"):
            raise kit.Admitted
        return number(page, "#position")

    def enter(self) -> int | None:
        page = self.browser.get("queue")
        if page.find("#enter"):  # else an answer got lost, and the customer is in
            said(self.browser.submit(page.form("#enter")))
        return number(page, "#number")

    def left(self) -> list[kit.Pool]:
        forms = self.browser.get().select("form.pool")
        return [kit.Pool(name=form["id"][5:], free=number(form, ".free"), price_cents=cents(form)) for form in forms]

    def reserve(self, pool: str, quantity: int) -> kit.Basket:
        form = self.browser.get().form(f"#pool-{pool}")
        return basket_of(said(self.browser.submit(form, quantity=quantity)))

    def basket(self) -> kit.Basket | None:
        page = self.browser.get("basket")
        return basket_of(page) if page.find("#basket") else None

    def give_back(self, basket: kit.Basket) -> None:
        if not self.basket():
            raise kit.Refused("expired")
        said(self.browser.submit(self.browser.get("basket").form("#empty")))

    def buy(self, basket: kit.Basket, key: str, *, declined: bool) -> kit.Placed:
        if key not in self.checkouts:
            self.checkouts[key] = said(self.browser.get("checkout")).form("#checkout")
        form, card = self.checkouts[key], DECLINED_CARD if declined else CARD
        page = said(self.browser.submit(form, key=key, card=card, email=self.email))
        task = page.url  # its answers are 202 until the card is charged
        page = self.browser.poll(lambda: done if (done := self.browser.get(task)).status != 202 else None, every_s=0.25)
        return placed(said(page))

    def look_up(self, order_id: str) -> kit.Placed:
        page = self.browser.get(f"checkout/{order_id}", expects={404})
        return kit.Placed(order_id=order_id, state="pending") if page.status == 202 else placed(said(page))


class LittleShop(kit.ShopPlatform):
    """The shop: what it can do, and what its operator can read."""

    capabilities = frozenset(
        map(kit.Capability, ("queue", "stock", "hold_release", "lookup", "order_export", "ledger_export"))
    )
    shopper = Visitor

    def stock(self, api: kit.Browser) -> Iterator[kit.PoolAtRest]:
        for row in self.read(api, "stock").json["pools"]:
            yield kit.PoolAtRest(pool=row["name"], free=row["free"], held=row["held"], sold=row["sold"])

    def orders(self, api: kit.Browser) -> Iterator[kit.ExportedOrder]:
        for row in csv.DictReader(self.read(api, "orders.csv").text.splitlines()):
            seats, cents, quantity = tuple(row.pop("seat").split()), int(row.pop("cents")), int(row.pop("quantity"))
            yield kit.ExportedOrder(fan=row.pop("customer"), seats=seats, cents=cents, quantity=quantity, **row)

    def ledger(self, api: kit.Browser) -> Iterator[kit.LedgerRow]:
        for row in csv.DictReader(self.read(api, "payments.csv").text.splitlines()):
            yield kit.LedgerRow(cents=int(row.pop("cents")), **row)

    def read(self, api: kit.Browser, name: str) -> kit.Page:
        return api.get(f"operator/{name}", headers={"Authorization": f"Bearer {self.secrets['token']}"})


def said(page: kit.Page) -> kit.Page:
    """The page, unless it is one of the shop's error pages, some of which come with status 200."""
    if error := page.find(".error"):
        raise kit.Refused(WORDS.get(error["data-code"], error["data-code"]))
    return page


def basket_of(page: kit.Page) -> kit.Basket:
    table, quantity = page.need("#basket"), sum(int(cell.text) for cell in page.select(".quantity"))
    basket_id, left_s = table["data-basket"], float(table["data-left-s"])
    return kit.Basket(basket_id=basket_id, quantity=quantity, cents=cents(page), ttl_s=left_s)


def placed(page: kit.Page) -> kit.Placed:
    order_id, state, pool = page.need("#order").text, page.need("#state").text, page.need(".item")["data-pool"]
    return kit.Placed(order_id=order_id, state=state, quantity=number(page, "#quantity"), pool=pool, cents=cents(page))


def number(page: kit.Page | kit.Element, selector: str) -> int | None:
    return int(found.text) if (found := page.find(selector)) else None


def cents(page: kit.Page | kit.Element) -> int | None:
    found = page.find("#total") or page.find(".price")  # "45.00" is 4500
    return int(found.text.replace(".", "")) if found else None
