"""The way from the front page to the order, the refusals on it, and that the shop is honest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from harness.processes.ports import free_ports
from tests.target.little_shop.shops import DECLINED_CARD, Shop, code, inputs, running, shop, told
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def running_shop() -> Iterator[Shop]:
    with shop("--base-path", "/onsale", "--seats", "20", "--stock", "standing=10,balcony=5", base="/onsale") as each:
        yield each


@pytest.fixture
def little_shop(running_shop: Shop) -> Shop:
    assert running_shop.ask("reset", "POST").status_code == 200
    return running_shop


def test_a_new_browser_gets_two_cookies_in_one_answer(little_shop: Shop) -> None:
    answer = little_shop.customer().get()
    assert answer.status_code == 200
    assert len(answer.raw.headers.getlist("set-cookie")) == 2
    assert little_shop.customer().get("").history == []  # the address without a slash is a page too


def test_one_purchase_from_the_front_page_to_the_export(little_shop: Shop) -> None:
    ann = little_shop.customer()
    assert 'id="pool-standing"' in ann.get().text
    basket = ann.take(2)
    assert [hop.status_code for hop in basket.history] == [303]
    assert told(basket, "total") == "90.00"
    assert little_shop.pool()["held"] == 2
    order = ann.check_out(key="ann-1")
    assert order.history[0].status_code == 303
    assert (told(order, "state"), told(order, "quantity"), told(order, "total")) == ("confirmed", "2", "90.00")
    (row,) = little_shop.rows("orders")
    assert (row["customer"], row["pool"], row["quantity"], row["cents"]) == ("ann@example.org", "standing", "2", "9000")
    (payment,) = little_shop.rows("payments")
    assert (payment["order_id"], payment["entry"], payment["cents"]) == (row["order_id"], "capture", "9000")
    assert little_shop.pool() == {"name": "standing", "stock": 10, "free": 8, "cents": 4500, "held": 0, "sold": 2}


def test_posting_the_checkout_again_is_the_same_order(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.take(1)
    first, again = ann.check_out(key="k"), ann.check_out(key="k")
    assert told(first, "order") == told(again, "order") != ""
    assert len(little_shop.rows("orders")) == len(little_shop.rows("payments")) == 1
    bob = little_shop.customer()
    assert code(bob.check_out(key="k", email="bob@example.org")) == "form"


def test_a_declined_card_buys_nothing(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.take(3)
    page = ann.check_out(card=DECLINED_CARD)
    assert (page.status_code, code(page)) == (402, "declined")
    assert little_shop.pool()["free"] == 10
    assert [row["entry"] for row in little_shop.rows("payments")] == ["decline"]


def test_what_is_sold_out_is_refused_with_a_page_of_status_200(little_shop: Shop) -> None:
    for _ in range(2):
        little_shop.customer().take(2, "balcony")
    page = little_shop.customer().take(2, "balcony")
    assert (page.status_code, code(page)) == (200, "sold-out")
    assert little_shop.pool("balcony")["free"] == 1


def test_the_limit_is_the_customers_over_all_browsers(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.take(3)
    assert code(ann.take(2)) == "limit"
    ann.check_out()
    assert code(ann.take(2)) == "limit"
    other = little_shop.customer()
    other.take(2)
    page = other.check_out(email="Ann@Example.org")
    assert (page.status_code, code(page)) == (422, "limit")


def test_a_basket_can_be_given_back(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.take(4)
    assert "empty-basket" in ann.post("/basket/empty").text
    assert little_shop.pool()["free"] == 10
    assert (ann.get("/checkout").status_code, code(ann.get("/checkout"))) == (410, "expired")


def test_a_basket_expires_and_its_tickets_are_free_again() -> None:
    with shop("--basket-ttl", "0.4") as brief:
        ann = brief.customer()
        key = inputs(ann.get().text)["token"]
        ann.take(4)
        wait_until(lambda: brief.pool()["free"] == 50, what="the tickets being back")
        page = ann.check_out(key=key)
        assert (page.status_code, code(page)) == (410, "expired")


def test_seats_are_taken_all_or_none_and_sold_once(little_shop: Shop) -> None:
    ann, bob = little_shop.customer(), little_shop.customer()
    assert ann.get("/seats").text.count('class="seat free"') == 20
    ann.post("/basket", seat=["A1-1", "A1-2"])
    assert code(bob.post("/basket", seat=["A1-3", "A1-2"])) == "taken"
    assert told(ann.check_out(), "total") == "130.00"
    states = {seat["name"]: seat["state"] for seat in little_shop.ask("stock").json()["seats"]}
    assert [states[name] for name in ("A1-1", "A1-2", "A1-3")] == ["sold", "sold", "free"]
    assert [row["seat"] for row in little_shop.rows("orders")] == ["A1-1", "A1-2"]


def test_a_form_without_the_browsers_token_is_refused(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.get()
    for token in ("", "somebody else's"):
        page = ann.post("/basket", token=token, pool="standing", quantity=1)
        assert (page.status_code, code(page)) == (403, "form")
    assert little_shop.pool()["free"] == 10


@pytest.mark.parametrize("quantity", ["", "0", "-1", "two", "99999", "²"])
def test_a_quantity_that_means_nothing_is_refused(little_shop: Shop, quantity: str) -> None:
    assert code(little_shop.customer().post("/basket", pool="standing", quantity=quantity)) == "form"


def test_other_peoples_orders_and_unknown_pages_are_missing(little_shop: Shop) -> None:
    ann = little_shop.customer()
    ann.take(1)
    order = told(ann.check_out(), "order")
    for path in (f"/orders/{order}", f"/checkout/{order}", "/nothing"):
        page = little_shop.customer().get(path)
        assert (page.status_code, code(page)) == (404, "missing")


def test_the_operators_area_needs_the_token(little_shop: Shop) -> None:
    for path in ("stock", "orders.csv", "payments.csv"):
        assert little_shop.ask(path, token="wrong").status_code == 401
    assert little_shop.ask("reset", "POST", token="").status_code == 401


def test_a_crowd_buys_no_more_than_there_is(little_shop: Shop) -> None:
    gate = threading.Barrier(20)

    def buys(number: int) -> str:
        customer = little_shop.customer()
        customer.get()
        gate.wait()
        if code(customer.take(1)):
            return "sold-out"
        return told(customer.check_out(email=f"{number}@example.org"), "state")

    with ThreadPoolExecutor(20) as crowd:
        ends = list(crowd.map(buys, range(20)))
    assert (ends.count("confirmed"), ends.count("sold-out")) == (10, 10)
    assert little_shop.pool() == {"name": "standing", "stock": 10, "free": 0, "cents": 4500, "held": 0, "sold": 10}


def test_metrics_are_at_the_root(little_shop: Shop) -> None:
    little_shop.customer().take(2)
    page = requests.get(little_shop.url.removesuffix("/onsale") + "/metrics", timeout=30).text
    assert 'shop_tickets_free{pool="standing"} 8.0' in page
    assert "shop_baskets_open 1.0" in page


def test_only_customers_with_a_password_buy(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.csv"
    accounts.write_text("name,password\nann,secret\n")
    with shop("--login", str(accounts)) as closed:
        ann = closed.customer()
        assert 'id="login"' in ann.take(1).text
        assert code(ann.post("/login", name="ann", password="guessed")) == "login"
        ann.post("/login", name="ann", password="secret")
        ann.take(1)
        assert 'name="email"' not in ann.get("/checkout").text
        ann.check_out(email="")
        assert [row["customer"] for row in closed.rows("orders")] == ["ann"]


def test_an_order_is_charged_once_when_the_provider_was_away(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    file = str(tmp_path / "shop.sqlite")
    options = ("--payments", f"http://127.0.0.1:{port}", "--database", file, "--payment-timeout", "0.5")
    with shop(*options) as first:
        ann = first.customer()
        ann.take(1)
        page = ann.post("/checkout", key="k", email="ann@example.org", card="4242424242424242")
        assert page.status_code == 202
        assert first.ask("payments.csv").status_code == 502
    with shop(*options) as second, running("target.little_shop.provider", port=port):
        wait_until(lambda: second.pool()["sold"] == 1, what="the pending order being paid")
        assert [row["key"] for row in second.rows("payments")] == ["k"]
