"""A whole booking system with a page in a browser that looks at it, and the moves of a fan with a keyboard."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

from tests.target.browser import Page
from tests.target.conftest import Valkey, eventually
from tests.target.postgres_fixture import Truth
from tests.target.processes import ADMIN_TOKEN, EVENT, Server, running
from tests.target.provider_fixture import Provider

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
"""Starts booking and worker on the test's servers: `open_shop(valkey, setting=value, …)`."""


@pytest.fixture
def open_shop(driver: webdriver.Chrome, truth: Truth, provider: Provider) -> Iterator[Open]:
    """Starts booking and worker on the test's servers; settings as in `Settings`."""
    with ExitStack() as open_:
        yield lambda valkey, **settings: open_.enter_context(running_shop(driver, valkey, truth, provider, settings))


@contextmanager
def running_shop(
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


def check(page: Page) -> None:
    """What holds in every view, however it is looked at."""
    assert page.nameless() == []
    for dark, width in LOOKS:
        page.look(dark=dark, width=width)
        assert page.unreadable() == [], (page.view(), dark, width)
    page.look()
