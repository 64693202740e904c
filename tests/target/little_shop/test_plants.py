"""Each planted bug breaks what it says, and the honest shop does not: the same customers, with and without it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.target.little_shop.shops import Customer, Shop, code, shop, told
from tests.waiting import wait_until


def bought(little_shop: Shop, number: int, quantity: int) -> tuple[Customer, requests.Response]:
    """A customer who has bought, and their order page."""
    customer = little_shop.customer()
    customer.take(quantity)
    return customer, customer.check_out(key=f"k{number}", email=f"{number}@example.org")


@pytest.mark.parametrize("planted", [True, False])
def test_oversell(planted: bool) -> None:
    with shop("--stock", "5", *(("--plant", "oversell") if planted else ())) as little_shop:
        gate = threading.Barrier(16)
        customers = [little_shop.customer() for _ in range(16)]
        for customer in customers:
            customer.get()

        def takes(customer: Customer) -> bool:
            gate.wait()
            return not code(customer.take(1))

        with ThreadPoolExecutor(16) as crowd:
            taken = sum(crowd.map(takes, customers))
        assert (taken > 5) is planted
        assert taken == little_shop.pool()["held"] >= 5


@pytest.mark.parametrize("planted", [True, False])
def test_double_charge(planted: bool) -> None:
    with shop(*(("--plant", "double_charge") if planted else ())) as little_shop:
        ann, _ = bought(little_shop, 1, 1)
        ann.check_out(key="k1", email="1@example.org")
        wait_until(lambda: len(little_shop.rows("payments")) == 1 + planted, what="the charges")
        assert {row["entry"] for row in little_shop.rows("payments")} == {"capture"}


@pytest.mark.parametrize("planted", [True, False])
def test_lost_order(planted: bool) -> None:
    with shop(*(("--plant", "lost_order") if planted else ())) as little_shop:
        orders = [told(bought(little_shop, number, 1)[1], "order") for number in range(5)]
        assert all(orders)
        wait_until(lambda: len(little_shop.rows("orders")) == 5 - planted, what="the export")
        assert little_shop.pool()["free"] == 45


@pytest.mark.parametrize("planted", [True, False])
def test_partial(planted: bool) -> None:
    with shop(*(("--plant", "partial") if planted else ())) as little_shop:
        pages = [bought(little_shop, number, 2)[1] for number in range(3)]
        assert {told(page, "quantity") for page in pages} == {"2"}
        assert [row["quantity"] for row in little_shop.rows("orders")] == ["2", "2", "1" if planted else "2"]


@pytest.mark.parametrize("planted", [True, False])
def test_leaked_basket(planted: bool) -> None:
    options = ("--plant", "leaked_basket") if planted else ()
    with shop("--basket-ttl", "0.3", *options) as little_shop:
        little_shop.customer().take(3)
        wait_until(lambda: little_shop.pool()["held"] == 0, what="the end of the basket")
        assert little_shop.pool()["free"] == (47 if planted else 50)


@pytest.mark.parametrize("planted", [True, False])
def test_wrong_price(planted: bool) -> None:
    with shop(*(("--plant", "wrong_price") if planted else ())) as little_shop:
        customer = little_shop.customer()
        shown = told(customer.take(1), "total")
        charged = told(customer.check_out(), "total")
        assert (shown != charged) is planted
        assert little_shop.rows("payments")[0]["cents"] == charged.replace(".", "")
        assert little_shop.rows("orders")[0]["cents"] == charged.replace(".", "")


@pytest.mark.parametrize("planted", [True, False])
def test_ignored_draw(planted: bool) -> None:
    options = ("--queue", "lottery", "--draw-after", "1", "--admit-per-s", "4")
    with shop(*options, *(("--plant", "ignored_draw") if planted else ())) as little_shop:
        customers = [little_shop.customer() for _ in range(12)]
        for customer in customers:
            customer.post("/queue")
        wait_until(lambda: 'id="draw"' not in customers[0].get("/queue").text, what="the draw")
        places = [told(customer.get("/queue"), "position") for customer in customers]  # "": called in already
        wait_until(lambda: all(told(customer.get("/queue"), "number") for customer in customers), what="all turns")
        numbers = [int(told(customer.get("/queue"), "number")) for customer in customers]
    drawn = [(int(place), number) for place, number in zip(places, numbers, strict=True) if place]
    assert (numbers == sorted(numbers)) is planted
    in_order = [number for _, number in sorted(drawn)]
    assert (in_order == sorted(in_order)) is not planted
