"""HAR files as they should not be: wrong, empty, huge, binary, hostile. Each is one line, or its good part is used."""

from __future__ import annotations

import ast
import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.errors import InputError
from harness.scaffold.python import literal, wrapped
from harness.scaffold.recorded import Recorded, recorded_files
from harness.scaffold.recording.har import BODY_CHARACTERS_MAX, read_har
from harness.scaffold.recording.sieve import sieve
from harness.scaffold.recording.steps import steps_of

SHOP = "https://shop.example"
FRONT = """<form class="p" method="post" action="/cart/add"><input type=hidden name=csrf value="tok-1234567890">
<input type=hidden name=item value=7><input type=number name=quantity value=1></form>"""
BASKET = """<p id="total">90.00</p><form id="pay" method="post" action="/pay"><input type=hidden name=csrf
value="tok-1234567890"><input name=email><input name=card></form>"""
DONE = '<h1>Order <b id="order">A-77123</b></h1><i id="state">paid</i>'


def entry(
    method: str, url: str, text: str = "", *, status: int = 200, kind: str = "text/html", sent: str = "",
    headers: tuple[tuple[str, str], ...] = (), sent_kind: str = "application/x-www-form-urlencoded",
    asked: tuple[tuple[str, str], ...] = (), **content: Any,
) -> dict[str, Any]:  # fmt: skip
    post = {"postData": {"mimeType": sent_kind, "text": sent}} if sent else {}
    return {
        "request": {
            "method": method, "url": url if "://" in url else SHOP + url,
            "headers": [{"name": name, "value": value} for name, value in asked], **post,
        },
        "response": {
            "status": status, "headers": [{"name": name, "value": value} for name, value in headers],
            "content": {"mimeType": kind, "text": text, **content},
        },
    }  # fmt: skip


def purchase() -> list[dict[str, Any]]:
    return [
        entry("GET", "/", FRONT),
        entry("POST", "/cart/add", BASKET, sent="csrf=tok-1234567890&item=7&quantity=2"),
        entry("POST", "/pay", DONE, sent="csrf=tok-1234567890&email=ann%40home.example&card=4929123456789015"),
    ]


def saved(file: Path, entries: list[Any]) -> Path:
    file.write_text(json.dumps({"log": {"entries": entries}}))
    return file


def drafted(tmp_path: Path, entries: list[Any]) -> Recorded:
    found = recorded_files(saved(tmp_path / "a.har", entries))
    ast.parse(found.files["shop.py"])
    yaml.safe_load(found.files["onsale.yaml"])
    return found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no HAR file"),
        (b"{", "is no HAR file"),
        (b"\x00\x01\xff\xfe" * 100, "is no HAR file"),
        (b"[]", "is no HAR file"),
        (b'{"log": {}}', "entries"),
        (b'{"log": {"entries": null}}', "entries"),
        (b'{"log": {"entries": []}}', "has no entries"),
        (b'{"log": {"entries": [1, null, {"request": 3}]}}', "none of its entries can be read"),
        (b"[" * 200_000, "is no HAR file"),
    ],
)
def test_what_is_no_recording_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "a.har"
    file.write_bytes(content)
    with pytest.raises(InputError, match=said) as caught:
        recorded_files(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_pipe_a_folder_and_a_missing_file_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing", "."):
        with pytest.raises(InputError):
            read_har(tmp_path / name)


def test_a_recording_without_a_purchase_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no purchase"):
        recorded_files(saved(tmp_path / "a.har", [entry("GET", "/", FRONT)]))
    with pytest.raises(InputError, match="no page"):
        recorded_files(saved(tmp_path / "a.har", [entry("GET", "/a.json", "{}", kind="application/json")]))


def test_the_verbs_of_a_small_shop(tmp_path: Path) -> None:
    found = drafted(tmp_path, purchase())
    adapter = found.files["shop.py"]
    assert "self.browser.submit(form, quantity=quantity)" in adapter
    assert 'input[name="item"][value="{pool}"]' in adapter
    assert 'order_id=page.need("#order").text' in adapter
    assert yaml.safe_load(found.files["onsale.yaml"])["allow_hosts"] == ["shop.example"]


def test_nothing_that_was_typed_and_no_token_is_copied(tmp_path: Path) -> None:
    entries = [*purchase(), entry("GET", "/search?mail=ann%40home.example&q=ann@home.example", DONE)]
    found = drafted(tmp_path, entries)
    for text in (*found.files.values(), *found.todos, *found.dropped):
        for value in ("ann@home", "ann%40home", "4929123456789015", "tok-1234567890"):
            assert value not in text


def test_static_files_and_other_hosts_are_left_out_and_named(tmp_path: Path) -> None:
    entries = [
        entry("GET", "https://ads.example/", "<html>"),
        *purchase(),
        entry("GET", "/logo.png", kind="image/png"),
        entry("GET", "/site.css", kind="text/css"),
        entry("POST", "/collect", "", status=204, sent="e=1"),
        entry("OPTIONS", "/cart/add", status=204),
    ]
    found = drafted(tmp_path, entries)
    assert sorted(found.dropped) == [
        "1 request to /cart/add, not part of the purchase",
        "1 request to /collect, not part of the purchase",
        "1 request to ads.example",
        "2 static files",
    ]
    assert "ads.example" not in found.files["shop.py"]


def test_a_body_of_ten_megabytes_is_left_out(tmp_path: Path) -> None:
    assert BODY_CHARACTERS_MAX < 10_000_000
    found = drafted(tmp_path, [*purchase(), entry("GET", "/huge", "x" * 10_000_000)])
    assert any("too large" in dropped for dropped in found.dropped)


def test_bodies_in_base64_are_read_and_binary_ones_left_out(tmp_path: Path) -> None:
    entries = purchase()
    content = entries[0]["response"]["content"]
    content |= {"encoding": "base64", "text": base64.b64encode(FRONT.encode()).decode()}
    entries += [
        entry("GET", "/a", base64.b64encode(b"\xff\x00\x80").decode(), encoding="base64"),
        entry("GET", "/b", "%%%", encoding="base64"),
    ]
    found = drafted(tmp_path, entries)
    assert "quantity=quantity" in found.files["shop.py"]


def test_pseudo_headers_and_cookies_that_come_twice(tmp_path: Path) -> None:
    pseudo = ((":authority", "shop.example"), (":method", "POST"), ("x-csrf-token", "tok-1234567890"))
    cookies = (("set-cookie", "csrf=old-0987654321; Path=/"), ("Set-Cookie", "csrf=tok-1234567890; Path=/"))
    entries = purchase()
    entries[0]["response"]["headers"] = [{"name": name, "value": value} for name, value in cookies]
    entries[0]["response"]["content"]["text"] = "<h1>shop</h1>"
    entries[1] = entry(
        "POST", "/api/cart", '{"cart": {"id": "c-99887766"}}', kind="application/json", asked=pseudo,
        sent='{"item": 7, "quantity": 2}', sent_kind="application/json",
    )  # fmt: skip
    entries[2] = entry(
        "POST", "/api/carts/c-99887766/checkout", '{"order": "A-77123"}', kind="application/json",
        sent='{"email": "ann@home.example", "cart": "c-99887766"}', sent_kind="application/json",
    )  # fmt: skip
    adapter = drafted(tmp_path, entries).files["shop.py"]
    assert '"x-csrf-token": self.browser.cookie("csrf")' in adapter
    assert ":authority" not in adapter
    assert 'page.json["cart"]["id"]' in adapter
    assert "c-99887766" not in adapter
    assert '"quantity": quantity' in adapter
    assert '"item": 7' in adapter
    assert 'order_id=str(page.json["order"])' in adapter


def test_values_null_and_entries_in_disorder(tmp_path: Path) -> None:
    entries = purchase()
    for number, one in enumerate(entries):
        one["startedDateTime"] = f"2026-11-30T10:00:0{number}.000Z"
        one["response"]["redirectURL"] = None
        one["response"]["content"]["encoding"] = None
    recording = read_har(saved(tmp_path / "a.har", [*entries[::-1], None]))
    assert [one.parts.path for one in recording.exchanges] == ["/", "/cart/add", "/pay"]
    assert recording.unread == 1


@pytest.mark.parametrize("bad", ['"""\nimport os\n', "');boom('", "{boom}", "\\", "a b", '"', "  # x"])
def test_no_word_of_a_recording_becomes_code(tmp_path: Path, bad: str) -> None:
    """Names of fields, forms and paths are the server's words: they stay in strings."""
    shown = bad.replace("&", "&amp;").replace('"', "&quot;")
    front = FRONT.replace("name=item value=7", f'name="{shown}" value="{shown}"').replace('class="p"', f'id="{shown}"')
    entries = purchase()
    entries[0] = entry("GET", "/", front)
    field = {"name": bad, "value": bad}
    entries[1]["request"]["postData"] = {
        "mimeType": "multipart/form-data", "params": [{"name": "quantity", "value": "2"}, field],
    }  # fmt: skip
    entries[1]["request"]["headers"] = [{"name": f"x-csrf{bad}", "value": bad}]
    entries.insert(2, entry("POST", f"/odd{bad}", "{}", sent=f"{bad}=1"))
    adapter = drafted(tmp_path, entries).files["shop.py"]
    names = {node.id for node in ast.walk(ast.parse(adapter)) if isinstance(node, ast.Name)}
    assert not names & {"boom", "os"}
    assert len([node for node in ast.walk(ast.parse(adapter)) if isinstance(node, ast.Import)]) == 1  # the kit


def test_a_long_line_is_broken_outside_its_strings() -> None:
    long = literal("a, b  # (" * 12)
    lines = wrapped([f"return f({long}, g({long}, 1), x=[{long}])  # why"])
    text = "def h():\n" + "\n".join(f"    {line}" for line in lines)
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(f"def h():\n    return f({long}, g({long}, 1), x=[{long}])"))


def test_repetitions_and_redirects_are_one_step(tmp_path: Path) -> None:
    entries = [
        entry("GET", "/", FRONT),
        entry("POST", "/queue", status=303, headers=(("location", "/queue"),)),
        entry("GET", "/queue", "<p id=position>2</p>"),
        entry("GET", "/queue", "<p id=position>1</p>"),
        entry("GET", "/queue", status=302, headers=(("Location", f"{SHOP}/in"),)),
        entry("GET", "/in", FRONT),
    ]
    steps = steps_of(sieve(read_har(saved(tmp_path / "a.har", entries))).kept)
    shown = [(step.asked.method, step.asked.parts.path, len(step.visits)) for step in steps]
    assert shown == [("GET", "/", 1), ("POST", "/queue", 1), ("GET", "/queue", 2)]
    assert steps[-1].last.answer.parts.path == "/in"


TOKEN = '<input type=hidden name=csrfmiddlewaretoken value="abcdefabcdef0123456789">'


def moved(method: str, url: str, to: str, sent: str = "") -> dict[str, Any]:
    posted = f"csrfmiddlewaretoken=abcdefabcdef0123456789&{sent}" if method == "POST" else ""
    return entry(method, url, status=302, headers=(("location", to),), sent=posted)


def test_a_shop_with_a_field_for_each_kind_of_ticket_and_a_task_that_is_polled(tmp_path: Path) -> None:
    numbers = '<input type=number name="item_3" value=""><input type=number name="item_4" value="">'
    task = '{"async_id": "a1b2c3d4e5f6a7b8", "ready": false}'
    confirm, order = "/e/w/Xy12Zq98Kl/confirm/", "/e/order/ABC12/s3cr3ts3cr3tqq/"
    adapter = drafted(
        tmp_path,
        [
            entry("GET", "/e/", f'<form method="post" action="/e/cart/add?next=x">{TOKEN}{numbers}</form>'),
            entry("POST", "/e/cart/add?next=x&ajax=1", task, kind="application/json",
                  sent="csrfmiddlewaretoken=abcdefabcdef0123456789&item_3=2&item_4="),
            entry("GET", "/e/cart/task?id=a1b2c3d4e5f6a7b8", '{"ready": false}', kind="application/json"),
            entry("GET", "/e/cart/task?id=a1b2c3d4e5f6a7b8", '{"ready": true}', kind="application/json"),
            moved("GET", "/e/checkout/start", confirm),
            entry("GET", confirm, f"<form method=post>{TOKEN}</form>"),
            moved("POST", confirm, order),
            entry("GET", order, '<h1>ABC12</h1><span class="status">paid</span>'),
        ],
    ).files["shop.py"]  # fmt: skip
    assert "**{pool: quantity}" in adapter
    assert 'kit.Pool(name=field["name"])' in adapter
    assert 'page.json["async_id"]' in adapter
    assert '.json["ready"] != False' in adapter
    assert 'f"order/{order_id}/"' in adapter
    for own in ("abcdefabcdef", "a1b2c3d4e5f6a7b8", "Xy12Zq98Kl", "ABC12", "s3cr3t"):
        assert own not in adapter


def test_a_shop_with_addresses_and_a_preview(tmp_path: Path) -> None:
    front = f'<form action="/basket/add/12/" method=post>{TOKEN}<input name=quantity></form>'
    address = "<input name=first_name><input name=line1><select name=country><option value=GB>UK</select>"
    found = drafted(
        tmp_path,
        [
            entry("GET", "/ticket_12/", front),
            moved("POST", "/basket/add/12/", "/basket/", "quantity=2"),
            entry("GET", "/basket/", '<h3 class="total">£90.00</h3>'),
            entry("GET", "/checkout/address/", f'<form id="at" method=post>{TOKEN}{address}</form>'),
            moved("POST", "/checkout/address/", "/checkout/preview/", "first_name=Roberta&line1=Foo Road 5&country=GB"),
            entry("GET", "/checkout/preview/", f'<form id="place" method=post>{TOKEN}</form>'),
            moved("POST", "/checkout/preview/", "/checkout/thanks/"),
            entry("GET", "/checkout/thanks/", "<p>Your order number is <strong>100023</strong></p>"),
        ],
    )  # fmt: skip
    adapter = found.files["shop.py"]
    assert 'first_name=self.settings["first_name"]' in adapter
    assert 'order_id=page.need("strong").text' in adapter
    assert 'page.form("#place")' in adapter
    assert yaml.safe_load(found.files["onsale.yaml"])["platform"]["settings"]["street"]
    assert not [name for name, text in found.files.items() if "Roberta" in text or "Foo Road" in text]


def test_a_shop_with_a_hidden_quantity_a_styled_form_and_an_order_that_is_looked_at_later(tmp_path: Path) -> None:
    front = f"""<p class="price">€45.00</p><p class="availability">12</p>
        <form id="add" action="/basket/add/1/" method=post>{TOKEN}<input type=hidden name=quantity value=1></form>"""
    guest = f'<form class="card" method=post>{TOKEN}<input type=email name=username></form>'
    preview = f'<form id="place" action="/preview/" method=post>{TOKEN}<input name=card></form>'
    thanks, order = "<p>Your order number is <strong>100023</strong></p>", "/orders/100023/k3yk3yk3yk3yk3y/"
    found = drafted(
        tmp_path,
        [
            entry("GET", "/floor_1/", front),
            entry("GET", "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg'/>", kind="image/svg+xml"),
            moved("POST", "/basket/add/1/", "/floor_1/", "quantity=1"),
            entry("GET", "/floor_1/", front),
            entry("GET", "/checkout/", guest),
            moved("POST", "/checkout/", "/payment/", "username=ann@home.example"),
            entry("GET", "/payment/", preview),
            moved("POST", "/preview/", "/thanks/", "card=4242424242424242"),
            entry("GET", "/thanks/", thanks),
            entry("GET", order, "<h1>Status</h1>"),
        ],
    )  # fmt: skip
    adapter = found.files["shop.py"]
    assert "self.browser.submit(form, quantity=quantity)" in adapter  # the number, not the name of what is sold
    assert 'free=page.number(".availability"), price_cents=page.cents(".price")' in adapter
    assert """page.form('input[name="username"]')""" in adapter  # neither a class that says how it looks, nor the token
    assert 'order_id=page.need("strong").text' in adapter  # of the page that the purchase leads to
    assert yaml.safe_load(found.files["onsale.yaml"])["platform"]["settings"]["card"] == "4242424242424242"
    assert not [one for one in found.dropped if "cannot be read" in one]
