"""The pages for customers: what is on sale, the basket, the checkout with its task page, the order, the login."""

from __future__ import annotations

import secrets
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from target.little_shop.sale.baskets import Baskets, RefusedError
from target.little_shop.sale.line import Line, Stage
from target.little_shop.sale.orders import Orders
from target.little_shop.settings import Queue, Settings
from target.little_shop.web.pages import Pages
from target.little_shop.web.visitors import Accounts, Form, Visitor, field, read_form, visitor

KEY_LENGTH_MAX: Final = 100


class CustomerRoutes:
    """Handlers. Each looks at who asks first, and answers with a page or sends the browser on."""

    def __init__(
        self, baskets: Baskets, orders: Orders, line: Line, accounts: Accounts, pages: Pages, settings: Settings
    ) -> None:
        self._baskets = baskets
        self._orders = orders
        self._line = line
        self._accounts = accounts
        self._pages = pages
        self._settings = settings

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/", self.front),
            Route("/seats", self.seats),
            Route("/basket", self.basket),
            Route("/basket", self.add, methods=["POST"]),
            Route("/basket/empty", self.empty, methods=["POST"]),
            Route("/checkout", self.checkout),
            Route("/checkout", self.buy, methods=["POST"]),
            Route("/checkout/{order_id}", self.working),
            Route("/orders/{order_id}", self.order),
            Route("/login", self.login),
            Route("/login", self.log_in, methods=["POST"]),
        ]

    async def front(self, request: Request) -> Response:
        """What is on sale, for those who were let in; for the others the way to the queue."""
        who = visitor(request)
        if self._must_wait(who):
            if self._settings.queue is Queue.ROOM or self._line.place(who.session).stage is not Stage.OUTSIDE:
                return self._pages.go_to("/queue", who)
            return self._pages.show("front", who, pools=[], has_seats=False)
        pools = self._baskets.pools()
        limit, has_seats = self._settings.limit, bool(self._settings.seats)
        return self._pages.show("front", who, pools=pools, has_seats=has_seats, limit=limit)

    async def seats(self, request: Request) -> Response:
        """The seat map."""
        who = self._let_in(request)
        return self._pages.show("seats", who, seats=self._baskets.seats())

    async def basket(self, request: Request) -> Response:
        """What is in the basket, and for how long."""
        who = visitor(request)
        return self._pages.show("basket", who, basket=self._baskets.basket(who.session))

    async def add(self, request: Request) -> Response:
        """Puts tickets or seats into the basket."""
        who = self._let_in(request)
        form = await read_form(request, who)
        if self._must_log_in(who):
            return self._pages.go_to("/login", who)
        if "seat" in form:
            await self._baskets.add_seats(who.session, form["seat"])
        else:
            await self._baskets.add_tickets(who.session, field(form, "pool"), _quantity(form))
        return self._pages.go_to("/basket", who)

    async def empty(self, request: Request) -> Response:
        """Gives everything back."""
        who = visitor(request)
        await read_form(request, who)
        self._baskets.empty(who.session)
        return self._pages.go_to("/basket", who)

    async def checkout(self, request: Request) -> Response:
        """The form for the card. The key in it makes posting it twice one purchase."""
        who = self._let_in(request)
        basket = self._baskets.basket(who.session)
        if basket is None:
            raise _expired()
        key, account = secrets.token_urlsafe(12), self._accounts.of(who.session)
        return self._pages.show("checkout", who, basket=basket, key=key, account=account)

    async def buy(self, request: Request) -> Response:
        """Makes the order; the browser goes to a task page until it is paid."""
        who = self._let_in(request)
        form = await read_form(request, who)
        if self._must_log_in(who):
            return self._pages.go_to("/login", who)
        key, card = field(form, "key"), field(form, "card").replace(" ", "")
        if not 0 < len(key) <= KEY_LENGTH_MAX or not card.isdigit():
            raise RefusedError("form", "Please fill in your card number.", 422)
        customer = self._accounts.of(who.session) or _email(form)
        order = self._orders.check_out(who.session, customer=customer, key=key, card=card)
        return self._pages.go_to(f"/checkout/{order.id}", who)

    async def working(self, request: Request) -> Response:
        """The task page: 202 while the card is being charged, then on to the order."""
        who = visitor(request)
        order = self._orders.find(request.path_params["order_id"], who.session)
        if order is None:
            raise _no_order()
        if order.state == "pending":
            return self._pages.show("working", who, 202)
        if order.state == "declined":
            raise RefusedError("declined", "Your card was declined. Nothing was bought.", 402)
        return self._pages.go_to(f"/orders/{order.id}", who)

    async def order(self, request: Request) -> Response:
        """An order of the customer's."""
        who = visitor(request)
        order = self._orders.find(request.path_params["order_id"], who.session)
        if order is None:
            raise _no_order()
        return self._pages.show("order", who, order=order, items=self._baskets.items(order.basket))

    async def login(self, request: Request) -> Response:
        """The form."""
        return self._pages.show("login", visitor(request))

    async def log_in(self, request: Request) -> Response:
        """Lets a customer in who knows their password."""
        who = visitor(request)
        form = await read_form(request, who)
        if not self._accounts.log_in(who.session, field(form, "name"), field(form, "password")):
            raise RefusedError("login", "No customer has this name and password.", 200)
        return self._pages.go_to("/", who)

    def _must_wait(self, who: Visitor) -> bool:
        return self._line.is_open and self._line.place(who.session).stage is not Stage.INSIDE

    def _let_in(self, request: Request) -> Visitor:
        who = visitor(request)
        if self._must_wait(who):
            raise RefusedError("queue", "Please join the queue first.", 403)
        return who

    def _must_log_in(self, who: Visitor) -> bool:
        return self._accounts.required and not self._accounts.of(who.session)


def _quantity(form: Form) -> int:
    text = field(form, "quantity")
    if not text.isascii() or not text.isdigit() or not 0 < len(text) < 4 or int(text) < 1:
        raise RefusedError("form", "Please say how many tickets you want.", 422)
    return int(text)


def _email(form: Form) -> str:
    email = field(form, "email").strip().lower()
    if "@" not in email:
        raise RefusedError("form", "Please fill in your e-mail address.", 422)
    return email


def _expired() -> RefusedError:
    return RefusedError("expired", "Your basket is empty, or its time is over.", 410)


def _no_order() -> RefusedError:
    return RefusedError("missing", "You have no such order.", 404)
