"""A fan's browser against real servers: cookies, redirects, forms, bodies, codings, hosts, TLS."""

from __future__ import annotations

import gzip
import shlex
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate
from itertools import pairwise
from pathlib import Path
from time import monotonic, time
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.adapter.browsing.browser import Browser, origin_in_full
from harness.adapter.browsing.site import Site, page_of
from harness.adapter.errors import NoAnswer, Refused
from harness.adapter.shopper import Shopper
from harness.adapter.values import WrongTypeError, order_state
from harness.errors import InputError
from harness.platform import Call, Person
from harness.scenario import OwnPlatform
from harness.scenario.own_platform import Limits
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.users.barrier import fire
from tests.harness.swarm.scripted_server import CLOSE, Asked, Hang, ScriptedServer, response, serving

HTML = "Content-Type: text/html; charset=utf-8"
FAN = Person(user=1, kind="fan", actor="fan-000001", identity="person-000001")


@contextmanager
def browsing(
    answer: Callable[[Asked], bytes], path: str = "", **section: object
) -> Iterator[tuple[Browser, ScriptedServer, Recorder]]:
    with serving(lambda asked: [answer(asked)]) as server:
        recorder = Recorder(1)
        own = OwnPlatform(url=f"{server.url}{path}", **section)
        browser = Browser(Site(own, {"BYPASS": "sesame"}), recorder, FAN)
        browser.begin("hold", Call(t_intended_s=monotonic()))
        yield browser, server, recorder
        browser.close()


def rows(recorder: Recorder) -> list[dict]:
    return recorder.take(ReleaseInstant(0.0, 0.0))["requests"].to_pylist()


# Cookies.


def test_two_set_cookie_fields_of_one_answer_are_both_kept() -> None:
    with browsing(lambda asked: response(b"", 200, "Set-Cookie: a=1; Path=/", "Set-Cookie: b=2; Path=/")) as (
        browser,
        server,
        _,
    ):
        browser.get("/")
        browser.get("/")
    assert sorted(server.asked[1].header("cookie").split("; ")) == ["a=1", "b=2"]


@pytest.mark.parametrize(
    ("field", "path", "sent"),
    [
        ("a=1", "/shop/basket", True),
        ("a=1", "/other", False),  # its path is that of the page that set it
        ("a=1; Path=/", "/other", True),
        ("a=1; Path=/shop", "/shopping", False),
        ("a=1; Path=/; Secure", "/other", False),
        ("a=1; Path=/; Max-Age=0", "/other", False),
        ("a=1; Path=/; Max-Age=600", "/other", True),
        pytest.param(f"a=1; Path=/; Expires={formatdate(time() - 60, usegmt=True)}", "/other", False, id="past"),
        pytest.param(f"a=1; Path=/; Expires={formatdate(time() + 600, usegmt=True)}", "/other", True, id="ahead"),
        ("a=1; Path=/; Domain=elsewhere.example", "/other", False),
        ("a=1; Path=/; HttpOnly; SameSite=Strict", "/other", True),
    ],
)
def test_a_cookie_goes_only_where_it_belongs(field: str, path: str, sent: bool) -> None:
    with browsing(
        lambda asked: response(b"", 200, *([f"Set-Cookie: {field}"] if asked.target == "/shop/page" else []))
    ) as (
        browser,
        server,
        _,
    ):
        browser.get("/shop/page")
        browser.get(path)
    assert server.asked[1].header("cookie") == ("a=1" if sent else "")


def test_a_cookie_of_a_redirect_is_sent_to_where_it_leads() -> None:
    def answer(asked: Asked) -> bytes:
        return (
            response(b"", 302, "Location: /in", "Set-Cookie: s=1; Path=/") if asked.target == "/" else response(b"ok")
        )

    with browsing(answer) as (browser, server, _):
        assert browser.get("/").body == b"ok"
    assert server.asked[1].header("cookie") == "s=1"


def test_a_cookie_that_has_lived_its_time_is_sent_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with browsing(lambda _: response(b"", 200, "Set-Cookie: a=1; Path=/; Max-Age=30")) as (browser, server, _):
        browser.get("/")
        ahead_s = time() + 31
        monkeypatch.setattr("harness.adapter.browsing.cookies.time", lambda: ahead_s)
        monkeypatch.setattr("http.cookiejar.time.time", lambda: ahead_s)
        browser.get("/")
    assert server.asked[1].header("cookie") == ""


def test_two_browsers_share_nothing() -> None:
    with browsing(lambda asked: response(b"", 200, f"Set-Cookie: c={asked.connection}; Path=/")) as (
        one,
        server,
        recorder,
    ):
        other = Browser(one._site, recorder, FAN)
        for browser in (one, other, one, other):
            browser.get("/")
        other.close()
    assert [asked.header("cookie") for asked in server.asked] == ["", "", "c=0", "c=1"]


# Addresses and redirects.


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("", "/onsale/finals?day=1"),
        ("cart", "/onsale/finals/cart"),
        ("/cart", "/cart"),
        ("../x", "/onsale/x"),
        ("?a=1", "/onsale/finals?a=1"),
        ("a b#c", "/onsale/finals/a%20b"),
        ("ü", "/onsale/finals/%C3%BC"),
    ],
)
def test_paths_are_relative_to_the_platforms_address(path: str, target: str) -> None:
    with browsing(lambda _: response(), "/onsale/finals?day=1") as (browser, server, _):
        browser.get(path)
    assert server.asked[0].target == target


def test_a_post_becomes_a_get_at_a_303_and_stays_a_post_at_a_307() -> None:
    def answer(asked: Asked) -> bytes:
        status = {"/303": 303, "/302": 302, "/307": 307}.get(asked.target)
        return response(b"", status, "Location: there") if status else response(asked.method.encode() + asked.body)

    with browsing(answer) as (browser, server, recorder):
        assert browser.post("/303", {"q": 2}).body == b"GET"
        assert browser.post("/302", {"q": 2}).body == b"GET"
        assert browser.post("/307", {"q": 2}).body == b"POSTq=2"
        requests = rows(recorder)
    assert server.asked[1].header("content-type") == ""
    assert [row["status"] for row in requests] == [303, 200, 302, 200, 307, 200]
    assert [row["outcome"] for row in requests] == ["ok"] * 6


def test_headers_go_where_a_redirect_leads_except_those_of_a_body_that_does_not() -> None:
    headers = {"Authorization": "Bearer t", "X-Pass": "7", "Content-Language": "de"}
    with browsing(
        lambda asked: response(b"", 303, "Location: there") if asked.target != "/there" else response(b"")
    ) as (browser, server, _):
        browser.post("/cart", json={"q": 2}, headers=headers)
        browser.get("/cart", headers=headers)
    posted, got = server.asked[1], server.asked[3]
    assert [posted.header(name) for name in ("authorization", "x-pass")] == ["Bearer t", "7"]
    assert [posted.header(name) for name in ("content-type", "content-language")] == ["", ""]
    assert [got.header(name) for name in ("authorization", "x-pass", "content-language")] == ["Bearer t", "7", "de"]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("status", [303, 307])
def test_authorization_does_not_leave_its_origin(method: str, status: int) -> None:
    with (
        serving(lambda _: [response(b"room")]) as room,
        browsing(lambda _: response(b"", status, f"Location: {room.url}/wait")) as (browser, _, _),
    ):
        browser.post("/go", b"", method=method, headers={"AUTHORIZATION": "Bearer t", "X-Pass": "7"})
    assert room.asked[0].header("authorization") == ""
    assert room.asked[0].header("x-pass") == "7"


@pytest.mark.parametrize("same", ["http://a:b@127.0.0.1:PORT/there", "http://127.0.0.1:PORT?there"])
def test_authorization_stays_where_a_platform_names_its_own_origin_in_another_way(same: str) -> None:
    def answer(asked: Asked) -> bytes:
        port = asked.header("host").rpartition(":")[2]
        return response(b"", 302, f"Location: {same.replace('PORT', port)}") if asked.target == "/go" else response(b"")

    with browsing(answer) as (browser, server, _):
        browser.get("/go", headers={"Authorization": "Bearer t"})
    assert [asked.header("authorization") for asked in server.asked] == ["Bearer t"] * 2


@pytest.mark.parametrize(
    ("url", "other", "is_same"),
    [
        ("https://shop.test/a", "https://shop.test:443/b", True),
        ("http://shop.test/a", "http://SHOP.test:80", True),
        ("http://[::1]:8080/a", "http://[::1]:8080#b", True),
        ("http://shop.test/a", "https://shop.test/a", False),
        ("http://shop.test/a", "http://shop.test:443/a", False),
        ("http://shop.test/a", "http://shop.test.other.test/a", False),
        ("http://shop.test/a", "http://shop.test@other.test/a", False),
    ],
)
def test_origins_are_compared_as_browsers_do_it(url: str, other: str, is_same: bool) -> None:
    assert (origin_in_full(url) == origin_in_full(other)) is is_same


@pytest.mark.parametrize(
    ("status", "method"), [(301, "DELETE"), (302, "PUT"), (303, "GET"), (307, "DELETE"), (308, "PATCH")]
)
def test_only_a_303_makes_a_get_of_another_method_than_post(status: int, method: str) -> None:
    asked_with = "DELETE" if status == 303 else method
    with browsing(lambda asked: response(b"", 200 if asked.target == "/b" else status, "Location: /b")) as (
        browser,
        server,
        _,
    ):
        browser.post("/a", json={}, method=asked_with)
    assert server.asked[1].method == method


def test_a_loop_of_redirects_ends() -> None:
    with (
        browsing(lambda _: response(b"", 302, "Location: /again")) as (browser, server, _),
        pytest.raises(NoAnswer) as raised,
    ):
        browser.get("/")
    assert raised.value.error == "protocol"
    assert len(server.asked) == 11


def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed() -> None:
    with (
        browsing(lambda _: response(b"", 302, "Location: http://198.51.100.7/x")) as (browser, _, _),
        pytest.raises(NoAnswer) as raised,
    ):
        browser.get("/")
    assert raised.value.error == "host"
    assert "198.51.100.7" in str(raised.value)
    assert "platform.hosts" in str(raised.value)


def test_a_redirect_to_another_port_of_this_machine_is_followed_without_its_referers_path() -> None:
    with serving(lambda _: [response(b"room")]) as room:
        with browsing(
            lambda asked: response(b"", 302, f"Location: {room.url}/wait") if asked.target == "/go" else response()
        ) as (
            browser,
            server,
            _,
        ):
            browser.get("/secret-page")
            assert browser.get("/go").body == b"room"
        assert server.asked[1].header("referer") == f"{server.url}/secret-page"
        assert room.asked[0].header("referer") == f"{server.url}/"


@pytest.mark.parametrize(
    "location", ["/a\x0b b", "javascript:alert(1)", "ftp://127.0.0.1/", "http://", "//", "http://127.0.0.1:99999/"]
)
def test_a_redirect_to_nowhere_is_no_crash(location: str) -> None:
    def answer(asked: Asked) -> bytes:
        return response(b"", 302, f"Location: {location}") if asked.target == "/" else response(b"", 404)

    with browsing(answer) as (browser, _, _), pytest.raises(NoAnswer):
        browser.get("/")


def test_a_page_of_many_has_one_name() -> None:
    assert page_of("GET", "/orders/1234/pay?token=secret") == "GET /orders/{n}/pay"
    assert page_of("GET", "/shop/v2/cart/v2x9") == "GET /shop/v2/cart/{n}"
    assert page_of("GET", "/t/3f2a9c7e/x") == page_of("GET", "/t/9b1f3d55/x")


# Answers.


@pytest.mark.parametrize(
    ("status", "usable"),
    [(200, True), (409, True), (422, True), (404, False), (403, False), (503, False), (500, False)],
)
def test_statuses_by_which_shops_say_no_are_answers(status: int, usable: bool) -> None:
    with browsing(lambda _: response(b"", status, "Retry-After: 3")) as (browser, _, _):
        if usable:
            assert browser.get("/").status == status
            return
        with pytest.raises(NoAnswer) as raised:
            browser.get("/")
        assert (raised.value.error, raised.value.status, raised.value.retry_after_s) == ("status", status, 3)
        assert browser.get("/", expects={status}).status == status


def test_an_answer_that_was_cut_leaves_it_open_whether_a_post_happened_and_not_a_get() -> None:
    with serving(lambda _: [CLOSE]) as server:
        browser = Browser(Site(OwnPlatform(url=server.url)), Recorder(1), FAN)
        for ask, acts in (
            (lambda: browser.post("/"), True),
            (lambda: browser.get("/"), False),
            (lambda: browser.get("/", acts=True), True),
        ):
            with pytest.raises(NoAnswer) as raised:
                ask()
            assert (raised.value.error, raised.value.acts) == ("reset", acts)


def test_a_hanging_page_ends_at_its_limit() -> None:
    with serving(lambda _: [Hang()]) as server:
        limits = Limits(first_byte_s=0.2, whole_s=0.5)
        browser = Browser(Site(OwnPlatform(url=server.url, limits=limits)), Recorder(1), FAN)
        with pytest.raises(NoAnswer) as raised:
            browser.get("/")
    assert raised.value.error == "timeout"
    assert "connect_s: 5, first_byte_s: 0.2, whole_s: 0.5" in str(raised.value)


def test_an_answer_that_is_too_large_names_the_limit() -> None:
    with (
        browsing(lambda _: response(b"x" * 3_000), limits=Limits(body_bytes=2_000)) as (browser, _, _),
        pytest.raises(NoAnswer, match=r"more than platform\.limits\.body_bytes, 2,000") as raised,
    ):
        browser.get("/")
    assert raised.value.error == "too_large"


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("x-gzip", gzip.compress),
    ],
)
def test_encoded_bodies_are_read_though_not_asked_for(coding: str, encode: Callable[[bytes], bytes]) -> None:
    with browsing(lambda _: response(encode(b"<p>hello</p>"), 200, f"Content-Encoding: {coding}")) as (
        browser,
        server,
        _,
    ):
        assert browser.get("/").need("p").text == "hello"
    assert server.asked[0].header("accept-encoding") == "identity"


@pytest.mark.parametrize(
    ("coding", "body", "error"),
    [
        ("gzip", gzip.compress(b"\0" * 4_000_000, mtime=0), "too_large"),
        ("gzip", b"no gzip", "protocol"),
        ("gzip", gzip.compress(b"x" * 900, mtime=0)[:-9], "protocol"),
        ("br", b"?", "protocol"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_one_clear_line(coding: str, body: bytes, error: str) -> None:
    with browsing(
        lambda _: response(body, 200, f"Content-Encoding: {coding}"), limits=Limits(body_bytes=1_000_000)
    ) as (browser, _, _):
        page = browser.get("/")
        with pytest.raises(NoAnswer) as raised:
            page.find("p")
    assert raised.value.error == error
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html; charset=iso-8859-1", "<p>Zoë</p>".encode("latin-1")),
        ("text/html", "<meta charset='windows-1252'><p>Zoë</p>".encode("cp1252")),
        ("text/html", "<p>Zoë</p>".encode()),
        ("text/html; charset=nonsense", "<p>Zoë</p>".encode()),
        ("text/html", b"\xef\xbb\xbf" + "<p>Zoë</p>".encode()),
    ],
)
def test_text_is_read_in_its_charset(kind: str, body: bytes) -> None:
    with browsing(lambda _: response(body, 200, f"Content-Type: {kind}")) as (browser, _, _):
        assert browser.get("/").need("p").text == "Zoë"


def test_what_is_no_json_ends_the_verb_as_protocol() -> None:
    with browsing(lambda _: response(b"<h1>Down for maintenance</h1>")) as (browser, _, _):
        page = browser.get("/")
        with pytest.raises(NoAnswer, match="Down for maintenance") as raised:
            page.json  # noqa: B018
    assert raised.value.error == "protocol"


# Forms and bodies.

PAGE = b"""<html><form id=f action="add?x=1" method=POST>
<input type=hidden name=csrf value="a&amp;b"><input name=quantity value=1><input name=off value=1 disabled>
<input type=checkbox name=c1 checked><input type=checkbox name=c2 value=2><input type=radio name=r value=a>
<input type=radio name=r value=b checked><select name=s><option value=x>X<option selected>Y y</select>
<select name=m multiple><option selected value=1><option selected value=2><option value=3></select>
<textarea name=t>
one
two</textarea><fieldset disabled><input name=gone value=1></fieldset><input name=nov>
<button name=go value=now>Go</button><button name=other value=1></button><input type=reset name=re></form>
<input form=f name=outside value=o><form id=g action="?q=0"><input name=q value="x y"></form></html>"""


def test_a_form_is_sent_as_a_browser_sends_it() -> None:
    with browsing(lambda asked: response(PAGE if asked.method == "GET" else b"", 200)) as (browser, server, _):
        form = browser.get("/shop/page").form("#f")
        browser.submit(form, quantity=2, nov="ü&", extra=3, m=[7])
        browser.submit(browser.get("/shop/page").form("#g"), q="z")
    sent = server.asked[1]
    assert (sent.method, sent.target) == ("POST", "/shop/add?x=1")
    assert sent.body.decode() == (
        "csrf=a%26b&quantity=2&c1=on&r=b&s=Y+y&m=7&t=one%0D%0Atwo&nov=%C3%BC%26&go=now&outside=o&extra=3"
    )
    assert sent.header("content-type") == "application/x-www-form-urlencoded"
    assert sent.header("referer") == f"{server.url}/shop/page"
    assert sent.header("origin") == server.url
    assert server.asked[3].target == "/shop/page?q=z"


def test_a_page_without_the_form_says_which_page_it_was() -> None:
    with browsing(lambda _: response(b"<h1>Sold out</h1>")) as (browser, _, _):
        page = browser.get("/tickets/7")
        with pytest.raises(NoAnswer, match=r"GET /tickets/\{n\} \(status 200\) has no form #buy; it says: Sold out"):
            page.form("#buy")


@pytest.mark.parametrize(
    ("text", "number", "cents"),
    [
        ("1,045.00 EUR", 1045, 104500), ("45.00", 45, 4500), ("45 €", 45, 4500), ("€ 45,50", 45, 4550),
        ("1.045,00", 1045, 104500), ("CHF 1'200.00", 1200, 120000), ("5.5", 5, 550), ("only 3 of 20 left", 3, 300),
        ("1\u00a0045 left", 1045, 104500), ("sold out", None, None),
    ],
)  # fmt: skip
def test_a_number_and_a_sum_are_read_as_people_read_them(text: str, number: int | None, cents: int | None) -> None:
    with browsing(lambda _: response(f"<p id=a><b>{text}</b></p>".encode(), 200, HTML)) as (browser, _, _):
        page = browser.get("/x")
        assert (page.number("#a"), page.need("#a").cents("b"), page.number("#b")) == (number, cents, None)


@pytest.mark.parametrize(
    ("status", "page", "word"),
    [
        (200, "<p class=error data-code=sold-out>Sorry</p>", "conflict"),
        (200, "<p class=error>We are Sold Out today</p>", "conflict"),
        (409, "<p class=error data-code=limit>At most four</p>", "limit"),
        (200, "<p class=error>What?</p>", "What?"),
        (410, "<p>Your time is over</p>", "expired"),
        (200, "<p>Welcome</p>", None),
        (200, '{".error": {"code": "sold-out"}}', "conflict"),
        (200, '{".error": null, "data": 1}', None),
        (200, "[1]", None),
        (200, '{".error": [], "data": 1}', None),
        (200, '{".error": {}, "data": 1}', None),
        (204, "", None),
    ],
)
def test_a_shop_says_no_by_an_element_or_by_a_status(status: int, page: str, word: str | None) -> None:
    class Asking(Shopper):
        complaint = ".error"
        refusals: ClassVar[dict[int | str, str]] = {"sold-out": "conflict", "sold out": "conflict", 410: "expired"}

    with browsing(lambda _: response(page.encode(), status, HTML)) as (browser, _, _):
        shopper, shown = Asking(), browser.get("/x")
        if word is None:
            assert shopper.said(shown) is shown
        else:
            with pytest.raises(Refused) as refused:
                shopper.said(shown)
            assert refused.value.error == word


def test_a_page_of_work_in_progress_is_asked_for_until_it_is_done() -> None:
    def script(asked: Asked) -> bytes:
        looks.append(asked.target)
        working = b"<meta http-equiv=Refresh content=1>"
        return response(*((working, 202), (working, 200), (b"<p id=a>7</p>", 200))[len(looks) - 1], HTML)

    looks: list[str] = []
    with browsing(script) as (browser, _, _):
        shopper = Shopper()
        shopper.browser = browser
        assert shopper.finished(browser.get("/task"), every_s=0.01).number("#a") == 7
    assert looks == ["/task"] * 3


def test_work_in_progress_is_asked_for_with_the_same_headers_where_its_location_says() -> None:
    def script(asked: Asked) -> bytes:
        if asked.header("authorization") != "Bearer t":
            return response(b"", 401)
        if asked.target == "/pay":
            return response(b"{}", 202, "Location: /jobs/1")
        return response(b"{}", 202) if len(server.asked) < 3 else response(b'{"done": 1}')

    with browsing(script) as (browser, server, _):
        shopper = Shopper()
        shopper.browser = browser
        page = browser.post("/pay", json={}, headers={"Authorization": "Bearer t"})
        assert shopper.finished(page, every_s=0.01).json == {"done": 1}
    assert [(asked.method, asked.target) for asked in server.asked[1:]] == [("GET", "/jobs/1")] * 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"no,name\n7,Ann\n", "text/csv"),
        ("\ufeffno;name\r\n7;Ann\r\n".encode(), "text/csv; charset=utf-8"),
        ("\ufeffno\tname\r\n7\tAnn\r\n".encode("utf-16-le"), "text/csv"),
        (b'"no";"name"\n"7";"Ann"\n', "text/csv"),
        (b'no;"name"\n7;Ann\n', "text/csv"),
    ],
)
def test_a_table_is_read_with_the_delimiter_and_the_mark_that_it_was_saved_with(body: bytes, kind: str) -> None:
    with browsing(lambda _: response(body, 200, f"Content-Type: {kind}")) as (browser, _, _):
        assert browser.get("/orders.csv").csv == [{"no": "7", "name": "Ann"}]


def test_a_value_of_a_table_may_hold_delimiters_and_the_ends_of_lines() -> None:
    body = 'no,"a;b;c"\n7,"Ann\nLee; \u2028x"\n8,"B\x0bC"\n'.encode()
    with browsing(lambda _: response(body, 200, "Content-Type: text/csv")) as (browser, _, _):
        rows_ = browser.get("/orders.csv").csv
    assert rows_ == [{"no": "7", "a;b;c": "Ann\nLee; \u2028x"}, {"no": "8", "a;b;c": "B\x0bC"}]


def test_a_column_that_a_table_lacks_is_said_with_those_that_it_has() -> None:
    with browsing(lambda _: response(b"no;name\n7;Ann\n", 200, "Content-Type: text/csv")) as (browser, _, _):
        row = browser.get("/orders.csv").csv[0]
        with pytest.raises(NoAnswer, match=r"GET /orders.csv \(status 200\) has no column 'id': it has 'no', 'name'"):
            row["id"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'no,name\n7,"Ann\n8,Bo\n', "is no CSV: unexpected end of data"),
        (b'no,name\n7,"' + b"x" * 200_000 + b'"\n', "is no CSV: field larger than field limit"),
        (b"no,name\n7\n", "has no column 'name': it has 'no'"),
    ],
)
def test_a_table_that_was_cut_is_no_answer_and_never_one_with_fewer_rows(body: bytes, says: str) -> None:
    with (
        browsing(lambda _: response(body, 200, "Content-Type: text/csv")) as (browser, _, _),
        pytest.raises(NoAnswer, match=says),
    ):
        _ = browser.get("/orders.csv").csv[0]["name"]


def test_empty_lines_before_a_table_are_no_header() -> None:
    with browsing(lambda _: response(b"\r\n\nno;name\n7;Ann\n", 200, "Content-Type: text/csv")) as (browser, _, _):
        assert browser.get("/orders.csv").csv == [{"no": "7", "name": "Ann"}]


def test_the_state_of_an_order_is_known_by_the_words_of_most_shops() -> None:
    assert [order_state(word) for word in ("Paid", " processing ", "CANCELLED")] == ["confirmed", "pending", "expired"]
    assert order_state("in der Post", {"in der post": "confirmed"}) == "confirmed"
    with pytest.raises(WrongTypeError, match="no state of an order is known to be called 'lost'"):
        order_state("lost")


@pytest.mark.parametrize(
    ("page", "says"),
    [
        (
            "<title>Shop</title><nav>de en fr</nav><p class=error>Card was declined</p><main>Pay <b>now</b></main>",
            "Shop · Card was declined · Pay now",
        ),
        (
            "<header>Menu</header><select><option>de</select><h1>Basket</h1><script>x()</script>is empty",
            "Basket is empty",
        ),
        ("plain words", "plain words"),
    ],
)
def test_an_excerpt_is_what_the_page_says_and_no_menu(page: str, says: str) -> None:
    with browsing(lambda _: response(page.encode(), 200, HTML)) as (browser, _, _):
        assert browser.get("/x").excerpt() == says


def test_multipart_and_json_bodies() -> None:
    with browsing(lambda _: response()) as (browser, server, _):
        browser.post("/", {"a": "ü"}, files={"photo": ("x.png", b"\x89PNG", "image/png")})
        browser.post("/", json={"a": [1, None]})
        browser.post("/", b"raw", headers={"Content-Type": "text/plain"}, method="PUT")
    kind, body = server.asked[0].header("content-type"), server.asked[0].body
    boundary = kind.partition("boundary=")[2].encode()
    assert kind.startswith("multipart/form-data; boundary=")
    assert body.count(b"--" + boundary) == 3
    assert b'name="a"' in body
    assert b'filename="x.png"\r\nContent-Type: image/png\r\n\r\n\x89PNG' in body
    assert (server.asked[1].header("content-type"), server.asked[1].body) == ("application/json", b'{"a":[1,null]}')
    assert (server.asked[2].method, server.asked[2].body) == ("PUT", b"raw")


_TAGS = (
    "<form>",
    "</form>",
    "<input name=a>",
    "<select name=b>",
    "<option>",
    "<textarea name=c>",
    "\0",
    "<fieldset disabled>",
)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300) | st.lists(st.sampled_from(_TAGS), max_size=20).map("".join))
def test_no_page_crashes_the_parser(text: str) -> None:
    from harness.adapter.browsing.page import Page
    from harness.swarm.client.types import Response

    answered = Response("ok", "", 0.0, None, text.encode("utf-8", "surrogatepass"))
    page = Page("http://127.0.0.1/", "GET /", answered, 10_000)
    assert isinstance(page.excerpt(), str)
    with suppress(NoAnswer):
        assert page.form("form").method in ("GET", "POST")


# Headers, secrets, the release.


def test_headers_of_the_platform_come_from_the_environment() -> None:
    headers = {"X-Load-Test": "env:BYPASS", "user-agent": "rehearsal"}
    with browsing(lambda _: response(), headers=headers) as (browser, server, _):
        browser.get("/")
    assert (server.asked[0].header("x-load-test"), server.asked[0].header("user-agent")) == ("sesame", "rehearsal")
    assert server.asked[0].head.lower().count("user-agent") == 1


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"secrets": {"token": "NO_SUCH"}}, "the environment has no NO_SUCH, which holds the secret token"),
        ({"headers": {"X": "env:NO_SUCH"}}, "the environment has no NO_SUCH, which holds the header X"),
        ({"headers": {"X": "a\r\nY: b"}}, "'X' is no header that can be sent"),
        ({"ca_file": "/no/such.pem"}, "platform.ca_file: there is no file /no/such.pem"),
    ],
)
def test_what_the_environment_lacks_is_one_line(section: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        Site(OwnPlatform(url="http://127.0.0.1:9", **section), {})


@pytest.mark.parametrize("value", ["a\r\nHost: b", "日本", "\ud800"])
def test_a_header_of_an_adapter_that_cannot_be_sent_is_refused(value: str) -> None:
    with browsing(lambda _: response()) as (browser, server, _), pytest.raises(InputError):
        browser.get("/", headers={"X": value})
    assert server.asked == []


def test_a_header_is_sent_in_latin_1_and_a_path_escaped() -> None:
    with browsing(lambda _: response()) as (browser, server, _):
        browser.get("fans/Zoë?name=Zoë", headers={"X-Fan": "Zoë"})
    assert server.asked[0].target.endswith("/fans/Zo%C3%AB?name=Zo%C3%AB")
    assert server.asked[0].header("x-fan") == "Zoë"


def test_the_first_page_is_sent_by_the_barrier_and_read_by_the_fan() -> None:
    with browsing(lambda asked: response(asked.target.encode()), "/sale") as (browser, server, recorder):
        fire([browser.prepare("")])
        browser.begin("queue_page", Call(t_intended_s=monotonic()))
        assert browser.get().body == b"/sale"
        assert (browser.first_send_s, len(server.asked)) == (rows(recorder)[0]["t_start_s"], 1)


def test_an_adapter_that_asks_for_another_page_first_gets_it_and_both_are_rows() -> None:
    with browsing(lambda asked: response(asked.target.encode()), "/sale") as (browser, _, recorder):
        fire([browser.prepare("")])
        browser.begin("queue_page", Call(t_intended_s=monotonic()))
        assert browser.get("/other").body == b"/other"
        assert [row["page"] for row in rows(recorder)] == ["GET /sale", "GET /other"]


def test_poll_looks_until_there_is_something() -> None:
    with browsing(lambda asked: response(b"ready" if asked.target == "/3" else b"")) as (browser, _, recorder):
        looks = iter(range(1, 9))
        page = browser.poll(lambda: found if (found := browser.get(f"/{next(looks)}")).body else None, every_s=0.01)
        assert page.body == b"ready"
        requests = rows(recorder)
        assert len(requests) == 3
        assert all(later["t_intended_s"] >= row["t_end_s"] + 0.01 for row, later in pairwise(requests))
        with pytest.raises(NoAnswer, match="nothing came"):
            browser.poll(lambda: None, every_s=0.01, within_s=0.03)


# TLS.

_AUTHORITY = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 "
    "-subj /CN=Test-CA"
)
_REQUEST = (
    "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {name}.key -out {name}.csr "
    "-subj /CN={name} -addext subjectAltName=DNS:{name}"
)
_SIGN = (
    "openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem {days} "
    "-copy_extensions copy"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own, with certificates for "localhost" and for another name."""
    folder = tmp_path_factory.mktemp("tls")
    commands = [_AUTHORITY]
    for name in ("localhost", "elsewhere.test"):
        commands += [_REQUEST.format(name=name), _SIGN.format(name=name, days="-days 2")]
    for command in commands:
        subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)
    return folder


def server_context(folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


def test_a_ca_of_ones_own_is_trusted_and_a_returning_fan_resumes(folder: Path) -> None:
    reused: list[bool] = []

    def script(asked: Asked) -> list[bytes | Hang]:
        reused.append(asked.socket.session_reused)  # type: ignore[attr-defined]
        return [response(b"secure", 200, "Set-Cookie: s=1; Path=/; Secure"), CLOSE]

    with serving(script, server_context(folder, "localhost")) as server:
        own = OwnPlatform(url=server.url, ca_file=str(folder / "ca.pem"))
        browser = Browser(Site(own), Recorder(1), FAN)
        assert browser.get("/").body == b"secure"
        browser.close()
        assert browser.get("/").body == b"secure"
        browser.close()
    assert reused == [False, True]
    assert server.asked[1].header("cookie") == "s=1"


@pytest.mark.parametrize(
    ("name", "trusted", "words"),
    [
        ("localhost", False, r"the certificate of localhost:\d+ is not accepted: .*platform\.ca_file"),
        (
            "elsewhere.test",
            True,
            r"the certificate of localhost:\d+ is not accepted: .*use the name that the certificate",
        ),
    ],
)
def test_a_certificate_error_names_the_host_and_what_to_do(folder: Path, name: str, trusted: bool, words: str) -> None:
    with serving(lambda _: [response()], server_context(folder, name)) as server:
        own = OwnPlatform(url=server.url, ca_file=str(folder / "ca.pem") if trusted else "")
        browser = Browser(Site(own), Recorder(1), FAN)
        with pytest.raises(NoAnswer, match=words) as raised:
            browser.get("/")
    assert raised.value.error == "tls"


def test_http_where_https_was_expected_says_so() -> None:
    def refuse(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(response(b"", 400))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=refuse, args=(listener,), daemon=True).start()
        own = OwnPlatform(url=f"https://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(NoAnswer, match="is it an https address"):
            Browser(Site(own), Recorder(1), FAN).get("/")
