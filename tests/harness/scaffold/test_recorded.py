"""Drafts from recordings of the real little shop, tried on it by one fan and by two at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import scenario as scenarios
from harness.adapter.checking.report import TrialReport
from harness.processes.ports import free_ports
from harness.rehearsal.adapter import check
from harness.scaffold.folder import write_folder
from harness.scaffold.recorded import Recorded, recorded_files
from harness.stack import Addresses
from harness.stack.own import absolute
from tests.e2e import rehearsals
from tests.harness.scaffold.recorder import (
    CARD,
    EMAIL,
    RecordingBrowser,
    buy_seats,
    buy_stock,
    check_out,
    through_the_queue,
    through_the_room,
)
from tests.target.little_shop.shops import TOKEN, running, shop

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITTLE_SHOP_TOKEN", TOKEN)


def tried(recorded: Recorded, folder: Path, people: str = "") -> TrialReport:
    """Without an edit by hand, except for the customers' passwords."""
    write_folder(folder, recorded.files)
    if people:
        (folder / "people.csv").write_text(people)
    source = scenarios.load(str(folder / "onsale.yaml"))
    assert source.scenario.platform is not None
    own = absolute(source.scenario.platform, source.folder)
    return check(Addresses(booking=own.url, feeds=(), event="", own=own), own, folder / "spec.json")


def recorded_purchase(url: str, file: Path, buy: Callable[[RecordingBrowser], str]) -> tuple[Recorded, str]:
    browser = RecordingBrowser(url)
    order = buy(browser)
    assert order
    return recorded_files(browser.save(file)), order


def verbs(report: TrialReport) -> list[str]:
    return [verb.verb for verb in report.verbs if verb.outcome == "ok"]


def test_the_draft_for_the_plain_shop_buys_without_an_edit(tmp_path: Path) -> None:
    with shop("--base-path", "/onsale", base="/onsale") as little_shop:
        recorded, order = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: buy_stock(browser, browser.get())
        )
        report = tried(recorded, tmp_path / "onsale")
        assert report.problems == ()
        assert verbs(report)[:5] == ["open", "left", "reserve", "buy", "look_up"]
        assert verbs(report).count("buy") == 3  # one fan, then two at once
        orders = [row for row in little_shop.rows("orders") if row["state"] != "declined"]
        assert sorted(int(row["quantity"]) for row in orders) == [1, 1, 1, 2, 2]
        assert len({row["customer"] for row in orders}) == 5
    assert not [name for name, text in recorded.files.items() if EMAIL in text or CARD in text or order in text]


def test_the_draft_reads_what_the_pages_show(tmp_path: Path) -> None:
    with shop("--base-path", "/onsale", base="/onsale") as little_shop:
        recorded, _ = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: buy_stock(browser, browser.get())
        )
    adapter = recorded.files["shop.py"]
    assert 'free=form.number(".free"), price_cents=form.cents(".price")' in adapter
    assert len(adapter.splitlines()) - sum("TODO" in line for line in adapter.splitlines()) <= 85
    assert "email=self.email" in adapter
    assert 'card=self.settings["declined_card" if declined else "card"]' in adapter
    assert "def basket(self)" in adapter
    assert max(map(len, adapter.splitlines())) <= 120
    assert any("operator" in todo for todo in recorded.todos)
    assert all(f"TODO: {todo}" in adapter for todo in recorded.todos)


def test_a_queue_that_is_polled(tmp_path: Path) -> None:
    options = ("--base-path", "/onsale", "--queue", "polling", "--admit-per-s", "2")
    with shop(*options, base="/onsale") as little_shop:
        recorded, _ = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: buy_stock(browser, through_the_queue(browser))
        )
        report = tried(recorded, tmp_path / "onsale")
        assert report.problems == ()
        assert [verb for verb in verbs(report)[:7] if verb != "place"] == [
            "open", "join", "enter", "left", "reserve", "buy",
        ][: len([verb for verb in verbs(report)[:7] if verb != "place"])]  # fmt: skip
        assert verbs(report).count("buy") == 3
    assert 'page.find("#enter")' in recorded.files["shop.py"]


def test_a_waiting_room_on_another_host(tmp_path: Path) -> None:
    shop_port, room_port = free_ports(2)
    room_url = f"http://127.0.0.2:{room_port}"
    options = ("--shop", f"http://127.0.0.1:{shop_port}", "--host", "0.0.0.0", "--admit-per-s", "2")
    room = running("target.little_shop.room", *options, port=room_port)
    with shop("--queue", "room", "--room-url", room_url, port=shop_port) as little_shop, room:
        recorded, _ = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: buy_stock(browser, through_the_room(browser))
        )
        report = tried(recorded, tmp_path / "onsale")
        assert report.problems == ()
        assert verbs(report).count("buy") == 3
    adapter, scenario = recorded.files["shop.py"], recorded.files["onsale.yaml"]
    assert 'return page.number("#position")' in adapter
    assert 'hosts: ["127.0.0.2"]' in scenario
    assert f"url: http://127.0.0.1:{shop_port}" in scenario.replace(chr(34), "")
    assert not [name for name, text in recorded.files.items() if "pass=" in text]


def test_seats_and_what_a_draft_cannot_know_of_them(tmp_path: Path) -> None:
    """The shop says on a page with status 200 that a seat is taken: the check finds what no recording shows."""
    with shop("--seats", "20") as little_shop:
        recorded, _ = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: (browser.get(), buy_seats(browser))[1]
        )
        report = tried(recorded, tmp_path / "onsale")
        assert verbs(report).count("buy") == 3
        assert [problem.verb for problem in report.problems] == ["reserve_seats"]
        assert "conflict" in report.problems[0].what


def test_a_login_becomes_a_row_of_the_people_file(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.csv"
    rows = [("Ann", PASSWORD), *((f"customer {number}", f"secret {number}") for number in range(60))]
    accounts.write_text("name,password\n" + "".join(f"{name},{password}\n" for name, password in rows))

    def buy(browser: RecordingBrowser) -> str:
        browser.get()
        browser.submit(browser.get("/login"), "login", name="Ann", password=PASSWORD)
        browser.submit(browser.get(), "pool-standing", quantity="1")
        return check_out(browser, email="")

    with shop("--login", str(accounts)) as little_shop:
        recorded, _ = recorded_purchase(little_shop.url, tmp_path / "a.har", buy)
        report = tried(recorded, tmp_path / "onsale", accounts.read_text())
        assert report.problems == ()
        assert verbs(report).count("buy") == 3
    assert not [name for name, text in recorded.files.items() if PASSWORD in text or "Ann" in text]


def test_the_command_drafts_tries_and_lists(tmp_path: Path) -> None:
    with shop("--base-path", "/onsale", base="/onsale") as little_shop:
        browser = RecordingBrowser(little_shop.url)
        buy_stock(browser, browser.get())
        browser.entries.append(
            {
                "startedDateTime": "2026-11-30T11:00:00.000Z",
                "request": {"method": "GET", "url": "https://tracker.example/pixel?e=1", "headers": []},
                "response": {"status": 200, "headers": [], "content": {"mimeType": "text/html"}},
            }
        )
        har = browser.save(tmp_path / "purchase.har")
        url = little_shop.url.removesuffix("/onsale")
        arguments = ["init", str(tmp_path / "onsale"), "--from-har", str(har), "--queue"]
        done = rehearsals.run(tmp_path / "tmp", *arguments, "--stack", url)
        assert done.returncode == 0, done.stderr
        assert "left out of the recording: 1 request to tracker.example" in done.stderr
        assert "could not be told: the queue" in done.stderr
        assert "nothing is wrong" in done.stderr
        assert done.stdout.count("buy ") >= 3
        assert os.access(tmp_path / "onsale" / "prepare.sh", os.X_OK)
    refused = rehearsals.run(
        tmp_path / "tmp", "init", str(tmp_path / "other"), "--from-har", str(har), "--stack", "http://shop.example"
    )
    assert refused.returncode == 2
    assert "--allow-host shop.example" in refused.stderr
    assert not (tmp_path / "other").exists()


def _with_stream(har: Path, entry: dict[str, Any]) -> Path:
    """The recording of a purchase after a queue whose page opened a stream before the customer went in."""
    document = json.loads(har.read_text())
    entries = document["log"]["entries"]
    at = next(number for number, one in enumerate(entries) if one["request"]["url"].endswith("/enter"))
    started = entries[at]["startedDateTime"]
    entries[at:at] = [{"startedDateTime": started, **entry}]
    polls = [one for one in entries if one["request"]["method"] == "GET" and one["request"]["url"].endswith("/queue")]
    document["log"]["entries"] = [one for one in entries if one not in polls[1:]]
    har.write_text(json.dumps(document))
    return har


EVENTS = "event: position\ndata: 7\n\nevent: position\ndata: 2\n\nevent: called\ndata: now\n\n"
MESSAGES = ['{"position": 7}', '{"position": 2}', '{"called": true}']
STREAMS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "events": (
        {
            "request": {"method": "GET", "url": "{root}/onsale/queue/events"},
            "response": {"status": 200, "content": {"mimeType": "text/event-stream", "text": EVENTS}},
        },
        [
            'for event in self.browser.events("queue/events"):',
            'if event.event == "called":',
            "yield int(event.data)",
        ],
    ),
    "events without a body": (
        {
            "request": {"method": "GET", "url": "{root}/onsale/queue/events"},
            "response": {"status": 200, "content": {"mimeType": "text/event-stream"}},
        },
        ['for event in self.browser.events("queue/events"):', "# TODO: it is the customer's turn"],
    ),
    "a socket": (
        {
            "request": {"method": "GET", "url": "{socket}/onsale/queue/socket"},
            "response": {"status": 101, "content": {}},
            "_webSocketMessages": [{"type": "receive", "time": 1, "opcode": 1, "data": text} for text in MESSAGES],
        },
        [
            'for message in self.browser.websocket("queue/socket"):',
            'if "called" in json.loads(message):',
            'yield json.loads(message)["position"]',
        ],
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_queue_that_streams_is_drafted_from_what_its_stream_said(tmp_path: Path, name: str) -> None:
    entry, lines = STREAMS[name]
    with shop("--base-path", "/onsale", "--queue", "polling", "--admit-per-s", "20", base="/onsale") as little_shop:
        browser = RecordingBrowser(little_shop.url)
        buy_stock(browser, through_the_queue(browser))
        root = little_shop.url.removesuffix("/onsale")
    shown = json.dumps(entry).replace("{root}", root).replace("{socket}", root.replace("http", "ws"))
    drafted = recorded_files(_with_stream(browser.save(tmp_path / "a.har"), json.loads(shown)))
    adapter = drafted.files["shop.py"]
    assert "def positions(self) -> Iterator[int | None]:" in adapter
    assert "def place(" not in adapter
    assert [line for line in lines if line not in adapter] == []
    assert any("`positions` in shop.py" in todo for todo in drafted.todos) == ("TODO: it is" in adapter)


def test_a_draft_says_of_each_read_that_is_missing_where_it_is_written_and_what_follows(tmp_path: Path) -> None:
    with shop("--base-path", "/onsale", base="/onsale") as little_shop:
        drafted, _ = recorded_purchase(
            little_shop.url, tmp_path / "a.har", lambda browser: buy_stock(browser, browser.get())
        )
    said = " / ".join(drafted.todos)
    for words in (
        "`stock(api)` of Shop",
        "tickets that vanish",
        "`orders(api)`",
        "B at best",
        "`ledger(api)`",
        "`rules.stock`",
    ):
        assert words in said
