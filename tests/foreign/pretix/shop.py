"""pretix as its customers and its operator see it: an adapter as you would write one for your own shop."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import gatecrash.adapter as kit

STATES = {"Paid": "confirmed", "Payment pending": "pending", "Canceled": "refunded", "Expired": "expired"}
EXPORTED = {"p": "confirmed", "n": "pending", "c": "refunded", "e": "expired"}
ENTRIES = {"confirmed": "capture", "refunded": "capture", "failed": "decline", "done": "refund"}
SAID = {"no longer available": "conflict", "cannot select more": "limit", "cart is empty": "expired"}
ADD, CLEAR, CONFIRM = "form[action*='cart/add?']", "form[action$='cart/clear']", "form[data-asynctask]:not([id])"


class Visitor(kit.Shopper):
    """One customer. pretix does what matters in tasks: a form is answered with the address of its task."""

    task = ""  # the last one, until it was seen to end

    def left(self) -> list[kit.Pool]:
        self.page = self.browser.get()
        return [product(row) for row in self.page.select("article.product-row")]

    def reserve(self, pool: str, quantity: int) -> kit.Basket:
        said = self.sent(self.page.form(ADD), **{pool: quantity})
        if said["success"]:
            return basket_of(self.browser.get(said["redirect"]))
        if said["has_cart"]:  # it said no, and put fewer than asked for into the cart: this customer takes all or none
            self.give_back(kit.Basket())
        raise refusal(said)

    def basket(self) -> kit.Basket | None:
        if self.task:
            self.finished()
        return basket_of(page) if (page := self.browser.get()).find(".cart-row") else None

    def give_back(self, basket: kit.Basket) -> None:
        if not (page := self.browser.get()).find(CLEAR):
            raise kit.Refused("expired")
        self.sent(page.form(CLEAR))

    def buy(self, basket: kit.Basket, key: str, *, declined: bool) -> kit.Placed:
        if not (page := self.browser.get("checkout/start")).find("input[name=email]"):
            raise kit.Refused("expired")
        page = self.browser.submit(page.form("input[name=email]"), email=self.email)
        card = {"payment": "giftcard", "payment_giftcard-code": "NO-SUCH-CARD" if declined else self.account["card"]}
        page = self.browser.submit(page.form("input[name=payment]"), **card)
        if page.find("input[name=payment]"):
            raise kit.Refused("declined")
        return self.bought(self.sent(page.form(CONFIRM)))

    def resume_buy(self, basket: kit.Basket, key: str, resume: object) -> kit.Placed | None:
        if self.task:
            return self.bought(self.finished())
        if self.browser.get().find(".cart-row"):
            return None
        raise kit.Refused("lost", unknown=True, final=True)  # it was bought, but a guest cannot ask for the order

    def look_up(self, order_id: str) -> kit.Placed:
        return placed(self.browser.get(f"order/{order_id}/", expects={404}))

    def bought(self, said: dict) -> kit.Placed:
        if said["success"]:
            return placed(self.browser.get(said["redirect"]))
        raise refusal(said, conflict="expired")  # the basket had run out, and its tickets went to others

    def sent(self, form: kit.Form, **fields: object) -> dict:
        said = self.browser.submit(form, ajax=1, **fields).json
        self.task = "" if said["ready"] else said["check_url"]
        return self.finished() if self.task else said

    def finished(self) -> dict:
        said = self.browser.poll(lambda: it if (it := self.browser.get(self.task).json)["ready"] else None, within_s=90)
        self.task = ""
        return said


class Pretix(kit.ShopPlatform):
    capabilities = frozenset(map(kit.Capability, ("stock", "hold_release", "lookup", "order_export", "ledger_export")))
    shopper = Visitor

    def stock(self, api: kit.Browser) -> Iterator[kit.PoolAtRest]:
        for quota in self.rows(api, "quotas/"):
            told = self.ask(api, f"quotas/{quota['id']}/availability/")
            pool, sold = f"item_{quota['items'][0]}", told["paid_orders"] + told["pending_orders"]
            yield kit.PoolAtRest(pool=pool, free=told["available_number"], held=told["cart_positions"], sold=sold)

    def orders(self, api: kit.Browser) -> Iterator[kit.ExportedOrder]:
        for order in self.rows(api, "orders/"):
            name, state, tickets = order_id(order["url"]), EXPORTED[order["status"]], order["positions"]
            kept = {"pool": f"item_{tickets[0]['item']}", "quantity": len(tickets), "cents": cents(order["total"])}
            yield kit.ExportedOrder(order_id=name, fan=order["email"], state=state, **kept)

    def ledger(self, api: kit.Browser) -> Iterator[kit.LedgerRow]:
        for order in self.rows(api, "orders/"):
            name = order_id(order["url"])
            for row in order["payments"] + order["refunds"]:
                if entry := ENTRIES.get(row["state"]):
                    charge, amount = f"{name}/{entry}/{row['local_id']}", cents(row["amount"])
                    yield kit.LedgerRow(charge_id=charge, order_id=name, entry=entry, cents=amount)

    def rows(self, api: kit.Browser, path: str) -> Iterator[dict]:
        told = self.ask(api, path)
        yield from told["results"]
        if told["next"]:
            yield from self.rows(api, told["next"])

    def ask(self, api: kit.Browser, path: str) -> dict:
        path = path if path.startswith("https:") else f"{self.settings['api']}{path}"
        return dict(api.get(path, headers={"Authorization": f"Token {self.secrets['token']}"}).json)


def product(row: kit.Element) -> kit.Pool:
    free = re.search(r"(\d+) currently available|SOLD OUT|Reserved", row.text)  # item-2 is item_2 of the form
    price = cents(row["data-price"])
    return kit.Pool(name=row["id"].replace("-", "_"), free=free and int(free[1] or 0), price_cents=price)


def basket_of(page: kit.Page) -> kit.Basket:
    ends = datetime.strptime(page.need("#cart-deadline")["data-expires"], "%Y-%m-%d %H:%M:%S%z")
    left_s = max(0.0, (ends - datetime.now(UTC)).total_seconds())
    return kit.Basket(ttl_s=left_s, **shown(page))


def placed(page: kit.Page) -> kit.Placed:
    if page.status == 404:
        raise kit.Refused("missing")
    state = STATES.get(page.need("[class^=textbubble]").text, "pending")
    return kit.Placed(order_id=order_id(page.url), state=state, **shown(page))


def refusal(said: dict, conflict: str = "conflict") -> kit.Refused:
    word = next((word for words, word in SAID.items() if words in said["message"]), "busy")
    wait_s = 1 if word == "busy" else None  # it waited for a lock in vain, and did nothing
    return kit.Refused(conflict if word == "conflict" else word, retry_after_s=wait_s)


def shown(page: kit.Page) -> dict[str, int]:
    counts = [int(found[0]) for cell in page.select(".cart-row .count") if (found := re.search(r"\d+", cell.text))]
    return {"quantity": sum(counts), "cents": cents(page.need(".cart-row.total .totalprice strong").text)}


def order_id(url: str) -> str:
    return "/".join(url.partition("/order/")[2].split("/")[:2])  # code and secret: both are needed to look at it


def cents(price: str) -> int:
    return int(re.sub(r"\D", "", price))  # "€25.00" is 2500
