"""A headless Chromium for tests of the pages: driven by the keyboard, looked at through the accessibility tree."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.waiting import wait_until

TABS_MAX = 150
READABLE = (Path(__file__).parent / "readable.js").read_text()


class Page:
    """One tab. Nothing here clicks: what a test does, a person can do without a mouse."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def press(self, *keys: str) -> None:
        ActionChains(self.driver).send_keys(*keys).perform()

    @property
    def focused(self) -> WebElement:
        return self.driver.switch_to.active_element

    def tab_to(self, name: str, *, back: bool = False) -> None:
        """Presses Tab until the focus is on the control of that accessible name, or one that begins with it."""
        passed = []
        for _ in range(TABS_MAX):
            if (here := self.focused.accessible_name).startswith(name):
                return
            passed.append(here)
            if back:
                ActionChains(self.driver).key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
            else:
                self.press(Keys.TAB)
        raise AssertionError(f"Tab does not reach {name!r}: {passed}")

    def until(self, condition: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
        wait_until(condition, within_s=within_s, what=what)

    def until_view(self, name: str, *, within_s: float = 30.0) -> None:
        self.until(
            lambda: self.view() == name, f"the view {name} (there is {self.view()}: {self.text()})", within_s=within_s
        )

    def view(self) -> str:
        script = "return document.querySelector('[data-view]:not([hidden])')?.dataset.view ?? ''"
        return str(self.driver.execute_script(script))

    def text(self, selector: str = "main") -> str:
        """What can be seen of the element."""
        script = "return document.querySelector(arguments[0])?.innerText ?? ''"
        return str(self.driver.execute_script(script, selector))

    def nameless(self) -> list[str]:
        """The accessibility tree's controls without a name or a role."""
        nodes: list[dict[str, Any]] = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return [
            f"{_value(node, 'role')} {_value(node, 'name')!r} {node['nodeId']}"
            for node in nodes
            if not node["ignored"] and _is_control(node)
            if not _value(node, "name") or _value(node, "role") in {"", "generic", "none"}
        ]

    def roles(self) -> set[str]:
        nodes = self.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        return {_value(node, "role") for node in nodes if not node["ignored"]}

    def unreadable(self) -> list[str]:
        """Visible texts whose contrast is below 4.5 (3 for large ones), ids used twice, small targets."""
        return list(self.driver.execute_script(READABLE))

    def complaints(self) -> list[str]:
        """What the browser's console says, without the answers that the test itself provoked."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries if entry["source"] != "network"]

    def look(self, *, dark: bool = False, width: int = 1280) -> None:
        """How the page is looked at."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def _value(node: dict[str, Any], key: str) -> str:
    return str(node.get(key, {}).get("value", "")).strip()


def _is_control(node: dict[str, Any]) -> bool:
    focusable = any(each["name"] == "focusable" and each["value"]["value"] for each in node.get("properties", ()))
    return focusable and _value(node, "role") != "RootWebArea"


PROGRAMS = ("chromium", "chromedriver")


@contextlib.contextmanager
def headless(**logged: str) -> Iterator[webdriver.Chrome]:
    """A browser without a window. `logged`: what it keeps logs of, by name, each with its level."""
    chromium, chromedriver = map(shutil.which, PROGRAMS)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", logged)
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(chromedriver))
    try:
        yield running
    finally:
        running.quit()


def require_programs() -> None:
    """Skips the test where there is no browser."""
    if not all(map(shutil.which, PROGRAMS)):
        pytest.skip("needs chromium and chromedriver: apt-get install chromium chromium-driver")


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    """The browser. What it remembers is kept by address, and every server of a test has a port of its own."""
    require_programs()
    with headless(browser="ALL") as running:
        yield running
