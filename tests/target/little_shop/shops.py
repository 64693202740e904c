"""The little shop, its provider and its waiting room as processes, and a customer with a browser, for tests."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from harness.processes.ports import free_ports
from tests.waiting import wait_until

ROOT = Path(__file__).parents[3]
TOKEN = "operator's"
CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"


@contextmanager
def running(module: str, *options: str, port: int = 0) -> Iterator[str]:
    """`python -m target.little_shop…`, healthy; gives its address. Told to stop, it ends with exit code 0."""
    port = port or free_ports(1)[0]
    command = [sys.executable, "-m", module, "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "LITTLE_SHOP_TOKEN": TOKEN})
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: process.poll() is not None or healthy(url), within_s=60, what=f"a healthy {module}")
        assert process.poll() is None
        yield url
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0


@contextmanager
def shop(*options: str, port: int = 0, base: str = "") -> Iterator[Shop]:
    """A shop that is up."""
    with running("target.little_shop", *options, port=port) as url:
        yield Shop(url + base)


def healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/healthz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


class Shop:
    """A running shop, as its operator sees it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, method: str = "GET", token: str = TOKEN) -> requests.Response:
        headers = {"authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.url}/operator/{path}", headers=headers, timeout=30)

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader(self.ask(f"{name}.csv").text.splitlines()))

    def pool(self, name: str = "standing") -> dict[str, Any]:
        pools: list[dict[str, Any]] = self.ask("stock").json()["pools"]
        return next(pool for pool in pools if pool["name"] == name)

    def customer(self) -> Customer:
        return Customer(self.url)


class Customer:
    """One browser: it keeps cookies, follows redirects, and its forms carry the token of the page before."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.browser = requests.Session()

    def get(self, path: str = "/", **options: Any) -> requests.Response:
        return self.browser.get(self.url + path, timeout=30, **options)

    def post(self, path: str, **fields: Any) -> requests.Response:
        if "shop_token" not in self.browser.cookies:
            self.get()
        fields = {"token": self.browser.cookies["shop_token"], **fields}
        return self.browser.post(self.url + path, fields, timeout=30)

    def take(self, quantity: int, pool: str = "standing") -> requests.Response:
        return self.post("/basket", pool=pool, quantity=quantity)

    def check_out(self, *, key: str = "", email: str = "ann@example.org", card: str = CARD) -> requests.Response:
        """Posts the form and follows the task page to its end."""
        key = key or inputs(self.get("/checkout").text)["key"]
        return self.follow(self.post("/checkout", key=key, email=email, card=card))

    def follow(self, page: requests.Response) -> requests.Response:
        """Asks again while the task page says that it is working."""
        pages = [page]

        def done() -> bool:
            if pages[-1].status_code == 202:
                pages.append(self.browser.get(pages[-1].url, timeout=30))
            return pages[-1].status_code != 202

        wait_until(done, within_s=30, what="the end of the checkout")
        return pages[-1]


def inputs(page: str) -> dict[str, str]:
    """The hidden fields of the forms of a page."""
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page))


def code(page: requests.Response) -> str:
    """What an error page says to programs; "" when it is none."""
    found = re.search(r'class="error" data-code="([\w-]+)"', page.text)
    return found[1] if found else ""


def told(page: requests.Response, name: str) -> str:
    """The text of the element with this id; "" when it is missing."""
    found = re.search(rf'id="{name}"[^>]*>([^<]*)<', page.text)
    return found[1] if found else ""
