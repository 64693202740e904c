"""Records a customer of a shop as a browser would: every request and redirect in a HAR file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.target.little_shop.shops import inputs, told
from tests.waiting import wait_until

EMAIL = "ann.smith@home.example"
CARD = "4929 1234 5678 9015"
START = "2026-11-30T10:00:%02d.%03dZ"


class RecordingBrowser:
    """One visitor with a cookie jar."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.entries: list[dict[str, Any]] = []

    def get(self, path: str = "/") -> requests.Response:
        return self._noted(self.session.get(self._at(path), timeout=30))

    def post(self, path: str, fields: dict[str, Any]) -> requests.Response:
        return self._noted(self.session.post(self._at(path), fields, timeout=30))

    def submit(self, page: requests.Response, form_id: str, **fields: Any) -> requests.Response:
        """The form with its hidden fields."""
        form = re.search(rf'<form[^>]*id="{form_id}".*?</form>', page.text, re.S)
        assert form is not None, page.text
        action = re.search(r'action="([^"]+)"', form[0])
        assert action is not None
        root = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
        return self.post(root + action[1], {**inputs(form[0]), **fields})

    def save(self, file: Path) -> Path:
        file.write_text(json.dumps({"log": {"version": "1.2", "creator": {}, "entries": self.entries}}))
        return file

    def _at(self, path: str) -> str:
        return path if "://" in path else self.url + path

    def _noted(self, response: requests.Response) -> requests.Response:
        for each in (*response.history, response):
            number = len(self.entries)
            request = each.request
            body = request.body if isinstance(request.body, str) else ""
            post = {"mimeType": request.headers.get("content-type", ""), "text": body} if body else None
            self.entries.append(
                {
                    "startedDateTime": START % (number // 1000, number % 1000),
                    "time": 3.0,
                    "_resourceType": "document",
                    "request": {
                        "method": request.method, "url": request.url, "httpVersion": "HTTP/1.1",
                        "headers": [{"name": name, "value": value} for name, value in request.headers.items()],
                        **({"postData": post} if post else {}),
                    },
                    "response": {
                        "status": each.status_code, "statusText": each.reason,
                        "headers": [{"name": name, "value": value} for name, value in each.headers.items()],
                        "content": {"mimeType": each.headers.get("content-type", ""), "text": each.text},
                        "redirectURL": each.headers.get("location", ""),
                    },
                }
            )  # fmt: skip
        return response


def through_the_queue(browser: RecordingBrowser) -> requests.Response:
    """Joins, looks until it is their turn, and goes in."""
    pages = [browser.submit(browser.get(), "join")]

    def called() -> bool:
        if 'id="enter"' not in pages[-1].text:
            pages.append(browser.get("/queue"))
        return 'id="enter"' in pages[-1].text

    wait_until(called, within_s=30, what="the visitor's turn")
    return browser.submit(pages[-1], "enter")


def through_the_room(browser: RecordingBrowser) -> requests.Response:
    """Asks for the shop's page, and reloads the waiting room's page on another host until it leads back."""
    pages = [browser.get()]

    def is_back() -> bool:
        if "pool-standing" not in pages[-1].text:
            pages.append(browser.get(pages[-1].url))
        return "pool-standing" in pages[-1].text

    wait_until(is_back, within_s=30, what="the way back to the shop")
    return pages[-1]


def check_out(browser: RecordingBrowser, email: str = EMAIL) -> str:
    """From the basket to the order; gives its id. `email` "": the shop knows it."""
    asked = {"email": email} if email else {}
    pages = [browser.submit(browser.get("/checkout"), "checkout", card=CARD, **asked)]

    def done() -> bool:
        if pages[-1].status_code == 202:
            pages.append(browser.get(pages[-1].url))
        return pages[-1].status_code != 202

    wait_until(done, within_s=30, what="the order")
    return told(pages[-1], "order")


def buy_stock(browser: RecordingBrowser, front: requests.Response) -> str:
    browser.submit(front, "pool-standing", quantity="2")
    return check_out(browser)


def buy_seats(browser: RecordingBrowser) -> str:
    browser.submit(browser.get("/seats"), "seat-map", seat=["A1-1", "A1-2"])
    return check_out(browser)
