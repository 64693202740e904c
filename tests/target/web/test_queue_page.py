"""The waiting room in a real browser on real servers: readable, by keyboard alone, and honest about what goes wrong."""

# ruff: noqa: F401, F811 - fixtures are imported, and asked for by their names

from __future__ import annotations

import time

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.target.browser import Page, driver
from tests.target.conftest import Valkey
from tests.target.postgres_fixture import Truth
from tests.target.processes import EVENT, starting_takes_s
from tests.target.shop import BASE, QUEUE, Open, check, open_shop

pytestmark = pytest.mark.needs_browser


BAD_PAGE = """data:text/html,<body><p style="color:%23999;background:%23fff">pale</p><button id="a"></button>
<button id="a" style="width:9px;padding:0">x</button><div style="width:3000px">wide</div></body>"""


def test_the_checks_see_what_is_wrong(driver: webdriver.Chrome) -> None:
    page = Page(driver, "")
    page.look()
    page.open(BAD_PAGE.replace("\n", ""))
    assert [line.split()[0] for line in page.nameless()] == ["button"]
    found = " ".join(page.unreadable())
    for problem in ('contrast 2.85 of "pale"', "id a is used twice", "9x", "px wide"):
        assert problem in found


def test_the_place_is_kept_while_the_queue_is_paused(mortal_valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(mortal_valkey, admission_rate_per_s=0.1, admission_burst=1)
    page = shop.page
    for fan in ("first", "second"):
        page.open(QUEUE)
        shop.join(f"{fan}@example.org")
        page.until(lambda: page.view() in {"place", "turn"}, "a place")
        if fan == "first":
            page.driver.execute_script("localStorage.clear()")
    page.until_view("place")
    assert "before you" in page.text("#wait")
    check(page)
    mortal_valkey.kill()
    page.until(lambda: "paused" in page.text("#notice"), "the pause")
    check(page)
    mortal_valkey.start()
    page.until(lambda: page.text("#notice") == "" or page.view() == "turn", "the place")
    page.until_view("turn", within_s=90)


def test_fans_gather_before_the_opening_and_check_the_draw(valkey: Valkey, truth: Truth, open_shop: Open) -> None:
    dsns = {"primary_dsn": truth.primary_dsn, "replica_dsn": truth.replica_dsn}
    takes_s = starting_takes_s("booking", redis_url=valkey.url, **dsns)
    shop = open_shop(valkey, queue_policy="shuffle", opens_at_s=time.time() + 6 + 4 * takes_s)
    page = shop.page
    shop.join()
    page.until_view("gathering")
    assert "by lot" in page.text("#gathering-note")
    check(page)
    page.until(lambda: page.text("#draw") != "", "the draw")
    page.until_view("turn", within_s=150)
    page.tab_to("Check the draw")
    page.press(Keys.ENTER)
    page.until(lambda: "has the fingerprint that was published first" in page.text("#draw-check"), "the check")
    [lot] = shop.booking.ask("GET", f"{BASE}/draw/entries").json["entries"]
    assert f"Your entry {lot['entry']} draws the number {lot['number']};" in page.text("#lot")
    check(page)


def test_a_lost_connection_is_said_and_the_place_kept(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, admission_rate_per_s=0.01)
    shop.join()
    shop.page.until_view("place")
    shop.booking.process.kill()
    shop.page.until(lambda: "Your place is kept; trying again" in shop.page.text("#notice"), "the news")
    check(shop.page)


def test_a_device_that_brings_a_crowd_is_told_when_to_come_back(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, joins_per_device=1)
    shop.join()
    shop.page.until_view("turn")
    shop.page.driver.execute_script(f"localStorage.removeItem('gatecrash:{EVENT}')")
    shop.join("bea@example.org")
    shop.page.until(lambda: "Too many from this device" in shop.page.text("#problem"), "the refusal")
    assert "Trying again in" in shop.page.text("#problem")
    check(shop.page)


def test_a_turn_that_was_missed_can_be_queued_for_again(valkey: Valkey, open_shop: Open) -> None:
    shop = open_shop(valkey, admission_valid_s=0.01)
    page = shop.page
    shop.join()
    page.until_view("turn")
    page.tab_to("Choose your seats")
    page.press(Keys.ENTER)
    page.until_view("ended")
    assert "Your turn is over" in page.text()
    check(page)
    page.tab_to("Join again")
    page.press(Keys.ENTER)
    page.until_view("join")
