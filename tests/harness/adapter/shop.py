"""A little shop for the tests of the kit: real sockets, pages, cookies, CSRF tokens, baskets; and an adapter for it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from harness.adapter.kit import (
    Basket,
    Capability,
    ExportedOrder,
    LedgerRow,
    Placed,
    Pool,
    PoolAtRest,
    Refused,
    Shopper,
    ShopPlatform,
)
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, response

PRICE_CENTS = 2500
LIMIT = 4


@dataclass
class Shop:
    """`cut`: of so many POSTs to a path the answer is not sent, though the deed is done.

    `keeps`: a basket keeps its tickets; else whether they are left shows when they are bought.
    """

    keeps: bool = True

    stock: int = 50
    cut: dict[str, int] = field(default_factory=dict)
    carts: dict[str, int] = field(default_factory=dict)
    orders: list[dict[str, object]] = field(default_factory=list)
    sessions: int = 0
    keeps: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)

    def script(self, asked: Asked) -> Iterable[bytes | Hang]:
        with self.lock:
            answer = self.answer(asked)
        path = urlsplit(asked.target).path
        if asked.method == "POST" and self.cut.get(path, 0) > 0:
            self.cut[path] -= 1
            return [CLOSE]
        return [answer]

    def answer(self, asked: Asked) -> bytes:
        path = urlsplit(asked.target).path
        cookies = dict(part.strip().split("=", 1) for part in asked.header("cookie").split(";") if "=" in part)
        if path.startswith("/api/"):
            return self.operator(asked, path)
        if "session" not in cookies:
            self.sessions += 1
            name = f"s{self.sessions}"
            cookie = (f"Set-Cookie: session={name}; Path=/; HttpOnly", f"Set-Cookie: token=t{name}; Path=/")
            return response(b"", 302, "Location: /sale", *cookie) if path != "/sale" else self.page(name, *cookie)
        name = cookies["session"]
        if asked.method == "POST":
            fields = {key: values[0] for key, values in parse_qs(asked.body.decode()).items()}
            if fields.get("token") != f"t{name}":
                return response(b"<h1>CSRF</h1>", 403)
            return self.post(path, name, fields)
        if path.startswith("/order/"):
            return self.order_page(int(path.rpartition("/")[2]))
        return self.page(name)

    def page(self, name: str, *headers: str) -> bytes:
        basket = self.carts.get(name, 0)
        text = (
            f"<html><p id=left>{self.free}</p><p id=basket>{basket}</p>"
            f"<form id=add action=/cart method=post><input type=hidden name=token value=t{name}>"
            "<input name=quantity value=1><button>Add</button></form>"
            f"<form id=buy action=/buy method=post><input type=hidden name=token value=t{name}>"
            "<input name=email><input name=card value=ok></form></html>"
        )
        return response(text.encode(), 200, "Content-Type: text/html; charset=utf-8", *headers)

    @property
    def free(self) -> int:
        sold = sum(int(str(order["quantity"])) for order in self.orders if order["state"] == "confirmed")
        return self.stock - sold - (sum(self.carts.values()) if self.keeps else 0)

    def post(self, path: str, name: str, fields: dict[str, str]) -> bytes:
        if path == "/cart":
            wanted = int(fields["quantity"])
            if wanted > LIMIT:
                return response(b"<p class=error>limit</p>", 422)
            if self.keeps and wanted > self.free:
                return response(b"<p class=error>sold out</p>", 409)
            self.carts[name] = self.carts.get(name, 0) + wanted
            return response(b"", 303, "Location: /sale")
        if path == "/empty":
            self.carts.pop(name, None)
            return response(b"", 303, "Location: /sale")
        quantity = self.carts.pop(name, 0)
        if not quantity:
            return response(b"<p class=error>expired</p>", 410)
        if not self.keeps and quantity > self.free:
            return response(b"<p class=error>sold out</p>", 409)
        declined = fields["card"] != "ok"
        self.orders.append(
            {
                "id": len(self.orders) + 1,
                "email": fields["email"],
                "quantity": quantity,
                "state": "declined" if declined else "confirmed",
            }
        )
        if declined:
            return response(b"<p class=error>declined</p>", 402)
        return response(b"", 303, f"Location: /order/{len(self.orders)}")

    def order_page(self, number: int) -> bytes:
        if number > len(self.orders):
            return response(b"no such order", 404)
        order = self.orders[number - 1]
        text = f"<p id=id>{order['id']}</p><p id=state>{order['state']}</p><p id=quantity>{order['quantity']}</p>"
        return response(text.encode())

    def operator(self, asked: Asked, path: str) -> bytes:
        if asked.header("authorization") != "Bearer swordfish":
            return response(b'{"detail": "no such token"}', 401)
        if path == "/api/stock":
            held = sum(self.carts.values()) if self.keeps else 0
            sold = self.stock - self.free - held
            return response(f'{{"free": {self.free}, "held": {held}, "sold": {sold}}}'.encode())
        lines = ["id,email,quantity,state", *(",".join(map(str, order.values())) for order in self.orders)]
        return response("\n".join(lines).encode(), 200, "Content-Type: text/csv")


class Visitor(Shopper):
    first_page = "/sale"

    def left(self) -> list[Pool]:
        return [Pool(name="standing", free=int(self.browser.get("/sale").need("#left").text), price_cents=PRICE_CENTS)]

    def reserve(self, pool: str, quantity: int) -> Basket:
        form = self.browser.get("/sale").form("#add")
        page = self.browser.submit(form, quantity=quantity)
        if error := page.find(".error"):
            raise Refused("conflict" if error.text == "sold out" else error.text)
        return Basket(quantity=int(page.need("#basket").text))

    def basket(self) -> Basket | None:
        quantity = int(self.browser.get("/sale").need("#basket").text)
        return Basket(quantity=quantity) if quantity else None

    def give_back(self, basket: Basket) -> None:
        form = self.browser.get("/sale").form("#add")
        self.browser.post("/empty", {"token": form.get("token")})

    def buy(self, basket: Basket, key: str, *, declined: bool) -> Placed:
        form = self.browser.get("/sale").form("#buy")
        page = self.browser.submit(form, email=self.email, card="bad" if declined else "ok")
        if error := page.find(".error"):
            raise Refused("conflict" if error.text == "sold out" else error.text)
        return self.placed(page)

    def placed(self, page) -> Placed:
        quantity = int(page.need("#quantity").text)
        return Placed(
            order_id=page.need("#id").text,
            state=page.need("#state").text,
            quantity=quantity,
            cents=quantity * PRICE_CENTS,
        )

    def look_up(self, order_id: str) -> Placed:
        page = self.browser.get(f"/order/{order_id}", expects={404})
        if page.status == 404:
            raise Refused("missing")
        return self.placed(page)


class LittleShop(ShopPlatform):
    capabilities = frozenset(
        {
            Capability.STOCK,
            Capability.HOLD_RELEASE,
            Capability.LOOKUP,
            Capability.ORDER_EXPORT,
            Capability.LEDGER_EXPORT,
        }
    )
    shopper = Visitor

    def stock(self, api):
        shown = self.api_page(api, "/api/stock").json
        yield PoolAtRest(pool="standing", **shown)

    def orders(self, api):
        for line in self.api_page(api, "/api/orders").text.splitlines()[1:]:
            number, email, quantity, state = line.split(",")
            cents = int(quantity) * PRICE_CENTS
            yield ExportedOrder(
                order_id=number, fan=email, state=state, cents=cents, quantity=int(quantity), pool="standing"
            )

    def ledger(self, api):
        for order in self.orders(api):
            entry = "capture" if order.state == "confirmed" else "decline"
            yield LedgerRow(charge_id=order.order_id, order_id=order.order_id, entry=entry, cents=order.cents)

    def api_page(self, api, path):
        return api.get(path, headers={"Authorization": f"Bearer {self.secrets['token']}"})
