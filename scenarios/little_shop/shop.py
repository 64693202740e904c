"""The little shop as its customers and its operator see it: an adapter as you would write one for your own shop."""

from __future__ import annotations

from collections.abc import Iterator

import gatecrash.adapter as kit

CARD, DECLINED_CARD = "4242424242424242", "4000000000000002"


class Visitor(kit.Shopper):
    """One customer. Each method does what a person does next, and returns what the pages said."""

    # Some of the shop's error pages come with status 200; of its codes two have another word here.
    complaint, refusals = ".error", {"sold-out": "conflict", "taken": "conflict"}
    same_key_same_purchase = True  # posting the checkout form again is the same order
    poll_s = 0.5

    def join(self) -> int | None:
        page = self.browser.get()
        return (self.browser.submit(page.form("#join")) if page.find("#join") else page).number("#position")

    def place(self) -> int | None:
        page = self.browser.get("queue")
        if page.find("#enter"):
            raise kit.Admitted
        return page.number("#position")

    def enter(self) -> int | None:
        page = self.browser.get("queue")
        if page.find("#enter"):  # else an answer got lost, and the customer is in
            self.said(self.browser.submit(page.form("#enter")))
        return page.number("#number")

    def left(self) -> list[kit.Pool]:
        forms = self.browser.get().select("form.pool")
        return [
            kit.Pool(name=form["id"][5:], free=form.number(".free"), price_cents=form.cents(".price")) for form in forms
        ]

    def reserve(self, pool: str, quantity: int) -> kit.Basket:
        form = self.browser.get().form(f"#pool-{pool}")
        return basket_of(self.said(self.browser.submit(form, quantity=quantity)))

    def basket(self) -> kit.Basket | None:
        page = self.browser.get("basket")
        return basket_of(page) if page.find("#basket") else None

    def give_back(self, basket: kit.Basket) -> None:
        if not self.basket():
            raise kit.Refused("expired")
        self.said(self.browser.submit(self.browser.get("basket").form("#empty")))

    def buy(self, basket: kit.Basket, key: str, *, declined: bool) -> kit.Placed:
        if key not in self.forms:
            self.forms[key] = self.said(self.browser.get("checkout")).form("#checkout")
        form, card = self.forms[key], DECLINED_CARD if declined else CARD
        page = self.said(self.browser.submit(form, key=key, card=card, email=self.email))
        return placed(self.said(self.finished(page, every_s=0.25)))  # its answers are 202 until the card is charged

    def look_up(self, order_id: str) -> kit.Placed:
        page = self.browser.get(f"checkout/{order_id}", expects={404})
        return kit.Placed(order_id=order_id, state="pending") if page.is_working else placed(self.said(page))


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
        for row in self.read(api, "orders.csv").csv:
            seats, cents, quantity = tuple(row.pop("seat").split()), int(row.pop("cents")), int(row.pop("quantity"))
            yield kit.ExportedOrder(fan=row.pop("customer"), seats=seats, cents=cents, quantity=quantity, **row)

    def ledger(self, api: kit.Browser) -> Iterator[kit.LedgerRow]:
        for row in self.read(api, "payments.csv").csv:
            yield kit.LedgerRow(cents=int(row.pop("cents")), **row)

    def read(self, api: kit.Browser, name: str) -> kit.Page:
        return api.get(f"operator/{name}", headers={"Authorization": f"Bearer {self.secrets['token']}"})


def basket_of(page: kit.Page) -> kit.Basket:
    table, quantity = page.need("#basket"), sum(int(cell.text) for cell in page.select(".quantity"))
    basket_id, left_s = table["data-basket"], float(table["data-left-s"])
    return kit.Basket(basket_id=basket_id, quantity=quantity, cents=page.cents("#total"), ttl_s=left_s)


def placed(page: kit.Page) -> kit.Placed:
    order_id, state, pool = page.need("#order").text, page.need("#state").text, page.need(".item")["data-pool"]
    return kit.Placed(
        order_id=order_id, state=state, quantity=page.number("#quantity"), pool=pool, cents=page.cents("#total")
    )
