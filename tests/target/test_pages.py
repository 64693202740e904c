"""The pages in a real browser on real servers: by keyboard alone, readable, and honest about what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.target.browser import Page, driver  # noqa: F401 - a fixture
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, Server, running
from tests.target.provider_fixture import Provider

pytestmark = pytest.mark.needs_browser

BASE = f"/api/events/{EVENT}"
QUEUE, SEATS = f"/queue/{EVENT}", f"/seats/{EVENT}"
LOOKS = [(False, 1280), (True, 1280), (False, 390)]


@dataclass
class Shop:
    """A whole booking system, and a page in a browser that looks at it."""

    booking: Server
    worker: Server
    page: Page

    def hold_as_somebody(self, *seats: str) -> None:
        """Another fan holds seats, without a browser."""
        given = self.worker.ask("POST", "/admin/passes", {"fan": "rival"}, Authorization=f"Bearer {ADMIN_TOKEN}")
        held = self.booking.ask("POST", f"{BASE}/holds", {"seats": seats}, Authorization=f"Pass {given.json['pass']}")
        assert held.status == 201

    def join(self, address: str = "ann@example.org") -> None:
        self.page.open(QUEUE)
        self.page.until_view("join")
        self.page.tab_to("Your e-mail address")
        self.page.press(address, Keys.ENTER)

    def enter(self) -> None:
        """From the street to the arena."""
        self.join()
        self.page.until_view("turn")
        self.page.tab_to("Choose your seats")
        self.page.press(Keys.ENTER)
        self.page.until_view("arena")

    def choose(self, section: str = "104") -> None:
        """Opens a section, and chooses two seats with the arrow keys."""
        self.page.tab_to(f"Section {section}")
        self.page.press(Keys.ENTER)
        self.page.until_view("section")
        self.page.until(lambda: " seats are free" in self.page.text("#section-free"), "the states of the seats")
        self.page.tab_to("Row A, seat 7")
        self.page.press(Keys.ARROW_DOWN, Keys.SPACE, Keys.ARROW_LEFT, Keys.SPACE)

    def hold(self) -> None:
        self.page.tab_to("Hold these seats")
        self.page.press(Keys.ENTER)

    def pay(self, *, other_card: bool = False) -> None:
        """With the second card of the list, or the first."""
        self.page.tab_to("Test card")
        self.page.press(Keys.ARROW_DOWN if other_card else Keys.SPACE)
        self.page.tab_to("Pay $")
        self.page.press(Keys.ENTER)

    def seat_name(self, seat: str) -> str:
        script = "return document.querySelector(`[data-seat='${arguments[0]}']`).getAttribute('aria-label')"
        return str(self.page.driver.execute_script(script, seat))


Open = Callable[..., Shop]


@pytest.fixture
def open_shop(driver: webdriver.Chrome, truth: Truth, provider: Provider) -> Iterator[Open]:  # noqa: F811
    """Starts booking and worker on the test's servers; settings as in `Settings`."""
    with ExitStack() as open_:
        yield lambda valkey, **settings: open_.enter_context(_shop(driver, valkey, truth, provider, settings))


@contextmanager
def _shop(
    browser: webdriver.Chrome, valkey: Valkey, truth: Truth, provider: Provider, settings: dict[str, object]
) -> Iterator[Shop]:
    servers: dict[str, object] = {
        "redis_url": valkey.url,
        "primary_dsn": truth.primary_dsn,
        "replica_dsn": truth.replica_dsn,
        "payments_url": provider.url,
    }
    given = servers | settings
    with running("worker", **given) as worker, running("booking", **given) as booking:
        eventually(lambda: booking.ask("GET", f"{BASE}/seats").json["source"] == "redis", why="the seats")
        page = Page(browser, f"http://127.0.0.1:{booking.port}")
        page.look()
        yield Shop(booking, worker, page)
        assert page.complaints() == []
        browser.get("about:blank")


def _check(page: Page) -> None:
    """What holds in every view, however it is looked at."""
    assert page.nameless() == []
    for dark, width in LOOKS:
        page.look(dark=dark, width=width)
        assert page.unreadable() == [], (page.view(), dark, width)
    page.look()


BAD_PAGE = """data:text/html,<body><p style="color:%23999;background:%23fff">pale</p><button id="a"></button>
<button id="a" style="width:9px;padding:0">x</button><div style="width:3000px">wide</div></body>"""


def test_the_checks_see_what_is_wrong(driver: webdriver.Chrome) -> None:  # noqa: F811
    page = Page(driver, "")
    page.look()
    page.open(BAD_PAGE.replace("\n", ""))
    assert [line.split()[0] for line in page.nameless()] == ["button"]
    found = " ".join(page.unreadable())
    for problem in ('contrast 2.85 of "pale"', "id a is used twice", "9x", "px wide"):
        assert problem in found


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
    _check(page)
    page.open(QUEUE)
    page.until_view("join")
    _check(page)
    shop.join()
    page.until_view("turn")
    _check(page)
    page.tab_to("Choose your seats")
    page.press(Keys.ENTER)
    page.until_view("arena")
    page.until(lambda: "free" in page.text("#arena-free"), "the free seats")
    _check(page)
    shop.choose()
    assert {"grid", "row", "rowheader", "gridcell"} <= page.roles()
    _check(page)
    shop.hold()
    page.until_view("checkout")
    assert "timer" in page.roles()
    _check(page)
    shop.pay()
    page.until_view("tickets")
    _check(page)


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
    _check(page)
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
    shop = open_shop(valkey, hold_ttl_s=4)
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
    driver: webdriver.Chrome,  # noqa: F811
    truth: Truth,
    start_provider: Callable[[int], Provider],
) -> None:
    slow = start_provider(3_000)
    with _shop(driver, valkey, truth, slow, {"payment_timeout_s": 1}) as shop:
        page = shop.page
        shop.enter()
        shop.choose()
        shop.hold()
        page.until_view("checkout")
        shop.pay()
        page.until_view("pending")
        _check(page)
        page.driver.refresh()  # whoever reloads meanwhile still pays once
        page.until_view("tickets", within_s=30)
    rows = slow.ledger()
    assert [row.entry for row in rows] == ["capture"]


def test_the_place_is_kept_while_the_queue_is_paused(mortal_valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(mortal_valkey, admission_rate_per_s=0.2, admission_burst=1)
    page = shop.page
    for fan in ("first", "second"):
        page.open(QUEUE)
        shop.join(f"{fan}@example.org")
        page.until(lambda: page.view() in {"place", "turn"}, "a place")
        if fan == "first":
            page.driver.execute_script("localStorage.clear()")
    page.until_view("place")
    assert "before you" in page.text("#wait")
    _check(page)
    mortal_valkey.kill()
    page.until(lambda: "paused" in page.text("#notice"), "the pause")
    _check(page)
    mortal_valkey.start()
    page.until(lambda: page.text("#notice") == "" or page.view() == "turn", "the place")
    page.until_view("turn", within_s=30)


def test_fans_gather_before_the_opening_and_check_the_draw(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, queue_policy="shuffle", opens_at_s=time.time() + 8)
    page = shop.page
    shop.join()
    page.until_view("gathering")
    assert "by lot" in page.text("#gathering-note")
    _check(page)
    page.until(lambda: page.text("#draw") != "", "the draw")
    page.until_view("turn", within_s=20)
    page.tab_to("Check the draw")
    page.press(Keys.ENTER)
    page.until(lambda: "has the fingerprint that was published first" in page.text("#draw-check"), "the check")
    assert page.driver.execute_script("return document.querySelector('#lot').textContent").startswith("Your entry ")
    _check(page)


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
    _check(page)


def test_a_lost_connection_is_said_and_the_place_kept(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, admission_rate_per_s=0.01)
    shop.join()
    shop.page.until_view("place")
    shop.booking.process.kill()
    shop.page.until(lambda: "Your place is kept; trying again" in shop.page.text("#notice"), "the news")
    _check(shop.page)


def test_a_device_that_brings_a_crowd_is_told_when_to_come_back(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, joins_per_device=1)
    shop.join()
    shop.page.until_view("turn")
    shop.page.driver.execute_script(f"localStorage.removeItem('gatecrash:{EVENT}')")
    shop.join("bea@example.org")
    shop.page.until(lambda: "Too many from this device" in shop.page.text("#problem"), "the refusal")
    assert "Trying again in" in shop.page.text("#problem")
    _check(shop.page)


def test_a_turn_that_was_missed_can_be_queued_for_again(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, admission_valid_s=0.01)
    page = shop.page
    shop.join()
    page.until_view("turn")
    page.tab_to("Choose your seats")
    page.press(Keys.ENTER)
    page.until_view("ended")
    assert "Your turn is over" in page.text()
    _check(page)
    page.tab_to("Join again")
    page.press(Keys.ENTER)
    page.until_view("join")


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
