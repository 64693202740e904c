"""The pages as files over HTTP: what they may load, how long they are kept, and that everything they name is there."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from target.web.routes import TYPES, WEB
from tests.target.conftest import Valkey
from tests.target.processes import EVENT, Server, running


@pytest.fixture
def booking(valkey: Valkey) -> Iterator[Server]:
    with running("booking", redis_url=valkey.url, event=f"{EVENT},e2") as server:
        yield server


def _named(text: str) -> set[str]:
    """What a page or a script loads."""
    return set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', text)) | set(re.findall(r'from "\./([\w.]+)"', text))


def test_a_page_may_load_only_from_this_server_and_be_kept_for_a_minute(booking: Server) -> None:
    for path in (f"/queue/{EVENT}", f"/seats/{EVENT}", "/queue/e2", "/seats/e2"):
        page = booking.ask("GET", path)
        assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert page.headers["cache-control"] == "public, max-age=60"
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert b"{{" not in page.body
        assert not re.search(rb"<style|<script(?! type=\"module\" src=)|\son\w+=|\sstyle=", page.body)
        assert path.rpartition("/")[2].encode() in page.body


def test_everything_that_is_named_is_there_and_may_be_kept_for_ever(booking: Server) -> None:
    wanted = {
        name for page in ("queue", "seats") for name in _named(booking.ask("GET", f"/{page}/{EVENT}").body.decode())
    }
    folder = next(iter(wanted)).rpartition("/")[0]
    loaded: set[str] = set()
    while missing := wanted - loaded:
        path = missing.pop()
        answer = booking.ask("GET", path)
        assert answer.status == 200, path
        assert "immutable" in answer.headers["cache-control"]
        loaded.add(path)
        wanted |= {f"{folder}/{name}" for name in _named(answer.body.decode()) if path.endswith(".js")}
    assert {path.rpartition("/")[2] for path in loaded} == {path.name for path in WEB.iterdir() if path.suffix in TYPES}


def test_a_page_of_another_version_is_sent_to_the_present_files(booking: Server) -> None:
    old = booking.ask("GET", "/assets/0123456789abcdef/common.js")
    assert (old.status, old.headers["cache-control"]) == (307, "no-store")
    assert booking.ask("GET", old.headers["location"]).status == 200


def test_nothing_else_is_served(booking: Server) -> None:
    for path in (
        "/assets/x/queue.html",
        "/assets/x/..%2fsettings.py",
        "/assets/x/%2e%2e/web_routes.py",
        "/seats/e3",
        "/assets/x/",
    ):
        answer = booking.ask("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json"), path
    assert booking.ask("POST", f"/seats/{EVENT}").status == 405
