"""From the waiting room to the ticket in a real browser on real servers: by keyboard alone, and how it can fail."""

# ruff: noqa: F401, F811 - fixtures are imported, and asked for by their names

from __future__ import annotations

from collections.abc import Callable

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.target.browser import driver
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT
from tests.target.provider_fixture import Provider
from tests.target.shop import BASE, QUEUE, SEATS, Open, check, open_shop, running_shop

pytestmark = pytest.mark.needs_browser


def test_from_the_waiting_room_to_the_ticket_by_keyboard_alone(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    shop.enter()
    shop.choose()
    assert shop.seat_name("104-B-7") == "Row B, seat 7, $285, your choice"
    assert "Total $570" in page.text("#basket-total")
    shop.hold()
    page.until_view("checkout")
    assert page.focused.tag_name == "h1"
    shop.pay()
    page.until_view("tickets")
    seats = {"Ticket: section 104, row B, seat 6", "Ticket: section 104, row B, seat 7"}
    script = "return [...document.querySelectorAll('.ticket')].map(ticket => ticket.getAttribute('aria-label'))"
    assert set(page.driver.execute_script(script)) == seats
    sold = shop.booking.ask("GET", f"{BASE}/seats").json["states"]["104"]
    assert sold.count("2") == 2


def test_every_view_has_names_and_contrast(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    page.open(SEATS)
    page.until_view("gate")
    check(page)
    page.open(QUEUE)
    page.until_view("join")
    check(page)
    shop.join()
    page.until_view("turn")
    check(page)
    page.tab_to("Choose your seats")
    page.press(Keys.ENTER)
    page.until_view("arena")
    page.until(lambda: "free" in page.text("#arena-free"), "the free seats")
    check(page)
    shop.choose()
    assert {"grid", "row", "rowheader", "gridcell"} <= page.roles()
    check(page)
    shop.hold()
    page.until_view("checkout")
    assert "timer" in page.roles()
    check(page)
    shop.pay()
    page.until_view("tickets")
    check(page)


def test_a_seat_that_another_fan_takes_is_shown_and_said(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    shop.enter()
    shop.choose()
    shop.hold_as_somebody("104-B-7", "104-A-1")
    page.until(lambda: "Somebody else was faster" in page.text("#problem"), "the news")
    assert "row B, seat 7" in page.text("#problem")
    assert shop.seat_name("104-A-1") == "Row A, seat 1, $285, held by somebody"
    assert "Total $285" in page.text("#basket-total")
    page.tab_to("Row B, seat 6")
    page.press(Keys.ARROW_RIGHT, Keys.SPACE)
    assert "Total $285" in page.text("#basket-total")


def test_a_lost_race_for_a_seat_keeps_the_rest_of_the_choice(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    shop.enter()
    shop.choose()
    page.driver.execute_cdp_cmd("Network.enable", {})
    page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/seats", "*/sections"]})
    try:
        shop.hold_as_somebody("104-B-7")
        shop.hold()
        page.until(lambda: "Somebody else was faster" in page.text("#problem"), "the refusal")
    finally:
        page.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    assert page.view() == "section"
    assert "Total $285" in page.text("#basket-total")
    shop.hold()
    page.until_view("checkout")


def test_a_declined_card_leaves_the_seats_for_another(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    shop.enter()
    shop.choose()
    shop.hold()
    page.until_view("checkout")
    shop.pay(other_card=True)
    page.until(lambda: "declined" in page.text("#problem"), "the refusal")
    assert page.view() == "checkout"
    check(page)
    page.tab_to("Test card that is declined")
    page.press(Keys.ARROW_DOWN)
    page.tab_to("Pay $")
    page.press(Keys.ENTER)
    page.until(lambda: "not enough money" in page.text("#problem"), "the second refusal")
    page.tab_to("Test card without funds")
    page.press(Keys.ARROW_UP, Keys.ARROW_UP)
    page.tab_to("Pay $")
    page.press(Keys.ENTER)
    page.until_view("tickets")


def test_two_tabs_of_one_fan_pay_once(valkey: Valkey, open_shop: Open, provider: Provider) -> None:
    shop = open_shop(valkey)
    page, driver_ = shop.page, shop.page.driver
    shop.enter()
    shop.choose()
    shop.hold()
    page.until_view("checkout")
    first = driver_.current_window_handle
    driver_.switch_to.new_window("tab")
    try:
        page.open(SEATS)
        page.until_view("checkout")
        shop.pay()
        page.until_view("tickets")
    finally:
        driver_.close()
        driver_.switch_to.window(first)
    page.until_view("tickets")
    order_id = page.driver.execute_script(f"return JSON.parse(localStorage['gatecrash:{EVENT}']).orders[0].order_id")
    assert provider.entries(order_id) == ["capture"]


def test_a_hold_survives_a_reload_and_ends_when_its_time_is_over(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, hold_ttl_s=12)
    page = shop.page
    shop.enter()
    shop.choose()
    shop.hold()
    page.until_view("checkout")
    page.driver.refresh()
    page.until_view("checkout")
    page.until_view("section")
    assert "ran out" in page.text("#problem")


def test_a_payment_that_takes_long_is_pending_and_then_a_ticket(
    valkey: Valkey,
    driver: webdriver.Chrome,
    truth: Truth,
    start_provider: Callable[[int], Provider],
) -> None:
    slow = start_provider(3_000)
    with running_shop(driver, valkey, truth, slow, {"payment_timeout_s": 1}) as shop:
        page = shop.page
        shop.enter()
        shop.choose()
        shop.hold()
        page.until_view("checkout")
        shop.pay()
        page.until_view("pending")
        check(page)
        page.driver.refresh()  # whoever reloads meanwhile still pays once
        page.until_view("tickets", within_s=30)
    rows = slow.ledger()
    assert [row.entry for row in rows] == ["capture"]


def test_an_outage_is_said_and_the_choice_kept(mortal_valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(mortal_valkey)
    page = shop.page
    shop.enter()
    shop.choose()
    mortal_valkey.kill()
    page.until(lambda: "may be out of date" in page.text("#stale"), "the warning")
    shop.hold()
    page.until(lambda: "Your choice is kept" in page.text("#problem"), "the refusal")
    assert "Total $570" in page.text("#basket-total")
    check(page)


def test_a_pass_that_is_not_valid_leads_back_to_the_waiting_room(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey)
    page = shop.page
    page.open(SEATS)
    forged = '{"pass": "not-a-pass"}'
    page.driver.execute_script(f"localStorage.setItem('gatecrash:{EVENT}', arguments[0])", forged)
    page.driver.refresh()
    page.until_view("arena")
    shop.choose()
    shop.hold()
    page.until_view("gate")
    assert "queue again" in page.text("#problem")


def test_accessible_seats_are_named_and_held_by_who_declares_the_need(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, accessible_pairs=1)
    page = shop.page
    page.open(QUEUE)
    page.until_view("join")
    check(page)
    page.tab_to("I need an accessible seat")
    page.press(Keys.SPACE)
    page.tab_to("Your e-mail address")
    page.press("ann@example.org", Keys.ENTER)
    page.until_view("turn")
    page.tab_to("Choose your seats")
    page.press(Keys.ENTER)
    page.until_view("arena")
    shop.choose()
    check(page)
    names = [shop.seat_name(f"104-V-{number}") for number in (21, 22)]
    assert [name.split(", ")[2] for name in names] == ["wheelchair place", "companion seat"]
    page.press(*[Keys.ARROW_DOWN] * 25, Keys.END, Keys.SPACE)
    shop.hold()
    page.until(
        lambda: "kept for those who need it" in page.text("#problem").lower(), "the refusal of a companion alone"
    )
    page.tab_to("Row V, seat 22", back=True)
    page.press(Keys.ARROW_LEFT, Keys.SPACE)
    shop.hold()
    page.until_view("checkout")
