"""Every kind of queue: how a place is taken, how the position is told, and that nobody comes in before their turn."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests
from websocket import create_connection

from harness.processes.ports import free_ports
from tests.target.little_shop.shops import Customer, code, running, shop, told
from tests.waiting import wait_until

SLOW = ("--admit-per-s", "2")


def is_called(customer: Customer) -> bool:
    return 'id="enter"' in customer.get("/queue").text


def test_nobody_buys_before_their_turn() -> None:
    with shop("--queue", "polling", "--admit-per-s", "0.001") as queued:
        ann = queued.customer()
        assert 'id="join"' in ann.get().text
        assert (ann.take(1).status_code, code(ann.take(1))) == (403, "queue")
        ann.post("/queue")
        assert code(ann.post("/queue/enter")) == "queue"
        assert ann.get().url.endswith("/queue")


def test_customers_are_called_in_the_order_in_which_they_came() -> None:
    with shop("--queue", "polling", *SLOW) as queued:
        customers = [queued.customer() for _ in range(3)]
        pages = [customer.post("/queue") for customer in customers]
        assert [page.url.endswith("/queue") for page in pages] == [True] * 3
        positions = [int(told(page, "position")) for page in pages]
        assert positions == sorted(positions)
        numbers = []
        for customer in customers:
            wait_until(lambda customer=customer: is_called(customer), what="the turn")
            numbers.append(told(customer.get("/queue"), "number"))
            assert 'id="pool-standing"' in customer.post("/queue/enter").text
        assert numbers == ["1", "2", "3"]


def test_positions_as_server_sent_events() -> None:
    with shop("--queue", "sse", *SLOW) as queued:
        first, second = queued.customer(), queued.customer()
        first.post("/queue")
        second.post("/queue")
        with second.get("/queue/events", stream=True) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            events = re.findall(r"event: (\w+)\ndata: (\d+)\n\n", stream.text)
        assert events[-1] == ("called", "2")
        positions = [int(data) for name, data in events if name == "position"]
        assert positions
        assert positions == sorted(positions, reverse=True)
        assert code(first.get("/queue/events")) == ""


def test_positions_over_a_websocket() -> None:
    with shop("--queue", "websocket", *SLOW) as queued:
        ann = queued.customer()
        ann.post("/queue")
        cookie = "; ".join(f"{name}={value}" for name, value in ann.browser.cookies.items())
        socket = create_connection(f"{queued.url.replace('http', 'ws')}/queue/socket", cookie=cookie, timeout=30)
        news: list[dict[str, Any]] = []
        while not (news and news[-1].get("called")):
            news.append(json.loads(socket.recv()))
        socket.close()
        assert news[-1] == {"called": True, "number": 1}
        assert 'id="pool-standing"' in ann.post("/queue/enter").text


@pytest.mark.parametrize("path", ["/queue/events"])
def test_a_queue_that_is_polled_sends_no_events(path: str) -> None:
    with shop("--queue", "polling") as queued:
        assert queued.customer().get(path).status_code == 404


def test_lots_are_drawn_later_among_those_who_came_before() -> None:
    with shop("--queue", "lottery", "--draw-after", "1", "--admit-per-s", "100") as queued:
        customers = [queued.customer() for _ in range(5)]
        pages = [customer.post("/queue") for customer in customers]
        assert all('id="draw"' in page.text and not told(page, "position") for page in pages)
        wait_until(lambda: all(is_called(customer) for customer in customers), what="the turn of all")
        numbers = [int(told(customer.get("/queue"), "number")) for customer in customers]
        assert sorted(numbers) == [1, 2, 3, 4, 5]
        late = queued.customer()
        late.post("/queue")
        wait_until(lambda: is_called(late), what="the turn of who came late")
        assert told(late.get("/queue"), "number") == "6"


def is_waiting_for_the_draw(customer: Customer) -> bool:
    return 'id="draw"' in customer.get("/queue").text


def test_with_fewer_lots_than_customers_the_others_are_told_so() -> None:
    with shop("--queue", "lottery", "--draw-after", "1", "--lots", "2", "--admit-per-s", "100") as queued:
        customers = [queued.customer() for _ in range(5)]
        for customer in customers:
            customer.post("/queue")
        wait_until(lambda: not any(map(is_waiting_for_the_draw, customers)), what="the draw")
        out = [customer for customer in customers if 'id="not-drawn"' in customer.get("/queue").text]
        assert len(out) == 3
        inside = [customer for customer in customers if customer not in out]
        wait_until(lambda: all(map(is_called, inside)), what="the turn of who was drawn")
        assert code(out[0].post("/queue/enter")) == "queue"
        late = queued.customer()
        assert 'id="not-drawn"' in late.post("/queue").text
        assert requests.get(f"{queued.url}/metrics", timeout=5).text.count("shop_waiting 0.0") == 1


def test_a_third_partys_room_sends_customers_back_with_a_signed_pass() -> None:
    (shop_port, room_port) = free_ports(2)
    room_url = f"http://127.0.0.2:{room_port}"
    room = running("target.little_shop.room", "--shop", f"http://127.0.0.1:{shop_port}", "--host", "0.0.0.0",
                   "--admit-per-s", "2", port=room_port)  # fmt: skip
    with shop("--queue", "room", "--room-url", room_url, port=shop_port) as queued, room:
        ann = queued.customer()
        page = ann.get()
        assert page.url.startswith(f"{room_url}/line?return=")
        assert [hop.status_code for hop in page.history] == [303, 303]
        wait_until(lambda: 'id="pool-standing"' in ann.get().text, what="the turn")
        assert told(ann.take(1), "total") == "45.00"
        forged = queued.customer().get("/admitted?pass=1.9999999999.00")
        assert (forged.status_code, code(forged)) == (403, "queue")


def test_a_pass_lets_one_browser_in() -> None:
    (shop_port, room_port) = free_ports(2)
    room_url = f"http://127.0.0.1:{room_port}"
    room = running("target.little_shop.room", "--shop", f"http://127.0.0.1:{shop_port}", port=room_port)
    with shop("--queue", "room", "--room-url", room_url, port=shop_port) as queued, room:
        line = f"{room_url}/line?return={queued.url}/admitted"
        browser = requests.Session()

        def sent_back() -> str:
            return browser.get(line, allow_redirects=False, timeout=30).headers.get("location", "")

        wait_until(lambda: bool(sent_back()), what="the pass")
        back = sent_back().removeprefix(queued.url)
        assert 'id="pool-standing"' in queued.customer().get(back).text
        assert code(queued.customer().get(back)) == "queue"
        foreign = requests.get(f"{room_url}/line?return=http://example.org/", timeout=30)
        assert foreign.status_code == 400
