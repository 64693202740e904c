"""`python -m harness.adapter` and `gatecrash adapter check`: what is wrong with an adapter, by file and line."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.adapter.checking.report import TrialReport, TrialSpec
from harness.platform import Addresses
from harness.scenario import OwnPlatform
from harness.scenario.own_platform import Limits, Rules
from tests.harness.adapter import shop as shop_module
from tests.harness.adapter.shop import Shop
from tests.harness.swarm.scripted_server import ScriptedServer, response, serving

ROOT = Path(__file__).parents[4]
BASE = inspect.getsource(shop_module)


@pytest.fixture
def little_shop() -> Iterator[tuple[Shop, ScriptedServer]]:
    shop = Shop()
    with serving(shop.script) as server:
        yield shop, server


def adapter_file(folder: Path, body: str) -> str:
    """A file of the user's own: it imports the little shop's adapter and changes some of it."""
    path = folder / "mine.py"
    path.write_text(f"from tests.harness.adapter.shop import *\nfrom gatecrash.adapter import *\n\n{body}\n")
    return f"{path}:Mine"


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SHOP_TOKEN": "swordfish"}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


QUEUED = "class Mine(LittleShop):\n    capabilities = LittleShop.capabilities | {Capability.QUEUE}"
NO_EXPORT = (
    "class Mine(ShopPlatform):\n    shopper = Visitor\n    capabilities = {Capability.STOCK, Capability.ORDER_EXPORT}"
)
VISITING = "class V(Visitor):\n    def {}:\n        pass\n\nclass Mine(LittleShop):\n    shopper = V"
REFUSING = "class V(Visitor):\n    refusals = {}\n\nclass Mine(LittleShop):\n    shopper = V"
NO_SHOPPER = "class Mine(ShopPlatform):\n    capabilities = {Capability.STOCK}\n    shopper = 7"


def tried(what: str, adapter: str, url: str, folder: Path, **section: object) -> tuple[int, TrialReport]:
    own = OwnPlatform(url=url, secrets={"token": "SHOP_TOKEN"}, **section)
    spec = TrialSpec(adapter=adapter, addresses=Addresses(booking=url, feeds=(), event="", own=own))
    file = folder / "spec.json"
    file.write_bytes(msgspec.json.encode(spec))
    done = run("harness.adapter", what, str(file), folder=folder)
    assert done.stderr == ""
    return done.returncode, msgspec.json.decode(done.stdout, type=TrialReport)


def line_in(reference: str, text: str) -> str:
    """FILE:LINE of the first line of the adapter that has this text."""
    file = reference.rpartition(":")[0]
    number = next(number for number, line in enumerate(Path(file).read_text().splitlines(), 1) if text in line)
    return f"mine.py:{number}"


def described(body: str, folder: Path) -> tuple[int, dict]:
    done = run("harness.adapter", "describe", adapter_file(folder, body), folder=folder)
    return done.returncode, msgspec.json.decode(done.stdout)


WHOLE = "class Mine(LittleShop): pass"


def test_a_whole_adapter_is_described(tmp_path: Path) -> None:
    code, found = described(WHOLE, tmp_path)
    assert (code, found["problems"]) == (0, [])
    assert found["capabilities"] == ["hold_release", "ledger_export", "lookup", "order_export", "stock"]


@pytest.mark.parametrize(
    ("body", "what", "where"),
    [
        ("class Mine(LittleShop):\n    capabilities = {'stok'}", "declares the unknown capability stok", 4),
        (QUEUED, "QUEUE is declared, and Visitor has no join", None),
        ("class Mine(LittleShop):\n    capabilities = set()", "neither STOCK nor SEATS", 4),
        (NO_SHOPPER, "shopper is 7, not a subclass", 4),
        (
            "class V(Visitor):\n    def buy(self, basket):\n        pass\n\nclass Mine(LittleShop):\n    shopper = V",
            "must take (self, basket: 'Basket', key: 'str', *, declined: 'bool')", 5,
        ),
        (VISITING.format("left(self, day)"), "must take (self) -> 'list[Pool]': missing a required", 5),
        (VISITING.format("__init__(self, x)"), "must take (self), for customers are made without", 5),
        (
            "class V(Visitor):\n    left = []\n\nclass Mine(LittleShop):\n    shopper = V",
            "V.left is [], not a method", 4,
        ),
        ("class Mine(LittleShop):\n    def orders(self):\n        pass", "must take (self, api: 'Browser')", 5),
        (NO_EXPORT, "has no orders", 4),
        (REFUSING.format("{'no': 7}"), "V.refusals has 'no': 7", 4),
        (REFUSING.format("409"), "V.refusals is 409", 4),
        ("import no_such_module", "cannot be loaded: No module named 'no_such_module'", None),
        ("X = {}['token']", "cannot be loaded: KeyError: 'token' (mine.py:4)", None),
        ("class Other: pass", "has no class Mine", None),
        ("class Mine: pass", "Mine has no fan_session", 4),
    ],
)  # fmt: skip
def test_what_is_wrong_as_it_is_written_is_said_with_its_line(
    tmp_path: Path, body: str, what: str, where: int | None
) -> None:
    code, found = described(body, tmp_path)
    assert code == 2
    problem = found["problems"][0]
    assert what in problem["what"]
    if where is not None:
        assert problem["where"] == f"mine.py:{where}"


def test_one_purchase_by_one_fan(tmp_path: Path, little_shop) -> None:
    shop, server = little_shop
    code, report = tried("trial", adapter_file(tmp_path, WHOLE), server.url, tmp_path)
    assert (code, report.problems) == (0, ())
    assert [told.verb for told in report.verbs] == ["open", "left", "reserve", "buy", "look_up"]
    assert [order["quantity"] for order in shop.orders] == [1]


BROKEN = """
class V(Visitor):
    def reserve(self, pool, quantity):
        {reserve}
        return super().reserve(pool, quantity)

class Mine(LittleShop):
    shopper = V
"""


@pytest.mark.parametrize(
    ("reserve", "what"),
    [
        ("self.browser.get('/sale').form('#nothing')", "GET /sale (status 200) has no form #nothing"),
        ("raise ValueError('tickets')", "ValueError: tickets"),
        ("self.browser.get('/sale').find('..[')", "'..[' is no CSS selector"),
        ("self.browser.get('/sale').form('..[')", "'..[' is no CSS selector"),
        ("while True: pass", "it did not end within its time"),
        ("self.browser.post('/cart', {'token': 'wrong'})", "POST /cart was answered with status 403: CSRF"),
    ],
)
def test_a_purchase_that_fails_names_the_line_and_shows_the_last_answer(
    tmp_path: Path, little_shop, reserve: str, what: str
) -> None:
    adapter = adapter_file(tmp_path, BROKEN.format(reserve=reserve))
    limits = Limits(connect_s=0.1, whole_s=1.0)
    code, report = tried("trial", adapter, little_shop[1].url, tmp_path, limits=limits)
    assert code == 2
    (problem,) = report.problems
    assert what in problem.what
    assert problem.where == line_in(adapter, reserve)
    assert "was answered" in problem.last


def test_what_fails_in_the_kit_names_the_adapters_customer_and_no_file_of_ours(tmp_path: Path) -> None:
    body = "class V(Visitor):\n    open = Shopper.open\n\nclass Mine(LittleShop):\n    shopper = V"
    adapter = adapter_file(tmp_path, body)
    with serving(lambda _: [response(b"gone", 404)]) as server:
        code, report = tried("trial", adapter, server.url, tmp_path)
    assert code == 2
    problem = report.problems[-1]
    assert "status 404" in problem.what
    assert problem.where == line_in(adapter, "class V(Visitor)")


def test_a_wrong_token_is_found_and_not_shown(tmp_path: Path, little_shop, monkeypatch: pytest.MonkeyPatch) -> None:
    own = OwnPlatform(url=little_shop[1].url, secrets={"token": "OTHER_TOKEN"})
    spec = TrialSpec(
        adapter=adapter_file(tmp_path, WHOLE), addresses=Addresses(booking=own.url, feeds=(), event="", own=own)
    )
    (tmp_path / "spec.json").write_bytes(msgspec.json.encode(spec))
    monkeypatch.setenv("OTHER_TOKEN", "hunter22")
    done = run("harness.adapter", "trial", "spec.json", folder=tmp_path)
    assert done.returncode == 2
    assert "status 401" in done.stdout
    assert "api_page" not in done.stdout
    assert "hunter22" not in done.stdout + done.stderr


DEFECTS = {
    "overcounts": (
        "def reserve(self, pool, quantity):\n        return super().reserve(pool, quantity + 1)",
        "were asked for, and the basket holds",
    ),
    "shares": (
        "def __init__(self):\n        self.browser.cookies = SHARED.setdefault('cookies', self.browser.cookies)",
        "is it another fan's too?",
    ),
    "replaces": (
        "def __init__(self):\n        self.browser = SHARED.setdefault('browser', self.browser)",
        "__init__ of V replaces self.browser: each customer has one of their own",
    ),
    "misnames": (
        "email = 'all@shop.test'",
        "the export shows the order of check-",
    ),
    "adds_again": (
        "def resume_reserve(self, pool, quantity, resume):\n        return None",
        "1 were asked for, and the basket holds 2",
    ),
    "wrong_word": (
        "def reserve(self, pool, quantity):\n        if quantity > 4:\n            raise Refused('too many')\n"
        "        return super().reserve(pool, quantity)",
        "it ended as fail, 'too many', and should be refused as 'limit'",
    ),
    "another_order": (
        "def look_up(self, order_id):\n        return Placed(order_id='99', state='confirmed')",
        "was asked for, and it returned 99",
    ),
    "never_declines": (
        "def buy(self, basket, key, *, declined):\n        return super().buy(basket, key, declined=False)",
        "a card that is to be declined paid",
    ),
    "other_decline": (
        "def buy(self, basket, key, *, declined):\n        if declined:\n            raise Refused('nope')\n"
        "        return super().buy(basket, key, declined=declined)",
        "it ended as fail, 'nope', and should be refused as 'declined'",
    ),
    "declined_and_gone": (
        "def buy(self, basket, key, *, declined):\n        placed = super().buy(basket, key, declined=False)\n"
        "        if declined:\n            self.reserve('standing', 1)\n            raise Refused('declined')\n"
        "        return placed",
        "it was declined, and what is free went from",
    ),
    "keeps": ("def give_back(self, basket):\n        pass", "one was given back, and"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_what_an_adapter_promises_is_tried(tmp_path: Path, little_shop, name: str) -> None:
    verb, what = DEFECTS[name]
    body = f"SHARED = {{}}\n\nclass V(Visitor):\n    {verb}\n\nclass Mine(LittleShop):\n    shopper = V"
    code, report = tried(
        "check", adapter_file(tmp_path, body), little_shop[1].url, tmp_path, rules=Rules(purchase_limit=4)
    )
    assert code == 2
    assert what in " / ".join(problem.what for problem in report.problems)


UNRESERVED = "class Mine(LittleShop):\n    capabilities = LittleShop.capabilities | {Capability.NO_HOLD}"


def test_a_shop_whose_baskets_keep_nothing_is_whole_when_it_says_so(tmp_path: Path) -> None:
    rules = Rules(stock={"standing": 5}, order_limit=4)
    with serving(Shop(stock=5, keeps=False).script) as server:
        code, report = tried("check", adapter_file(tmp_path, UNRESERVED), server.url, tmp_path, rules=rules)
    assert (code, report.problems) == (0, ())
    refused = [told.error for told in report.verbs if told.verb == "buy" and told.outcome == "fail"]
    assert refused == ["conflict", "declined"]
    with serving(Shop(stock=5, keeps=False).script) as server:
        adapter = adapter_file(
            tmp_path, "class Mine(LittleShop):\n    def stock(self, api):\n        return super().stock(api)"
        )
        code, report = tried("check", adapter, server.url, tmp_path, rules=rules)
    assert code == 2
    assert report.problems[0].what.endswith("declare Capability.NO_HOLD")
    assert report.problems[0].where == line_in(adapter, "def stock")


def test_a_shop_that_keeps_tickets_and_says_that_it_does_not_is_found(tmp_path: Path, little_shop) -> None:
    code, report = tried("check", adapter_file(tmp_path, UNRESERVED), little_shop[1].url, tmp_path)
    assert code == 2
    assert "NO_HOLD is declared, and it keeps them" in report.problems[0].what


def test_the_first_of_several_failures_is_named(tmp_path: Path, little_shop) -> None:
    body = (
        "class V(Visitor):\n    tries = 0\n    def buy(self, basket, key, *, declined):\n        self.tries += 1\n"
        "        if self.tries == 1:\n            raise Refused('too busy', final=False)\n"
        "        raise Refused('basket is empty')\n\nclass Mine(LittleShop):\n    shopper = V"
    )
    adapter = adapter_file(tmp_path, body)
    problem = tried("trial", adapter, little_shop[1].url, tmp_path)[1].problems[0]
    assert problem.where == line_in(adapter, "too busy")
    assert problem.what == "it ended as fail, 'too busy' (tried again: fail, 'basket is empty')"


@pytest.mark.parametrize(
    ("stock", "what"),
    [
        ({"standing": 50, "balcony": 9}, "there is no pool 'balcony'"),
        ({"standin": 50}, "did you mean 'standing'?"),
        (50, "it is one number, and there are 2 pools"),
        ({"standing": 50}, "how many there are of the pool 'box' is not declared"),
    ],
)
def test_a_stock_that_is_declared_of_other_pools_is_found_before_any_load(
    tmp_path: Path, little_shop, stock: int | dict[str, int], what: str
) -> None:
    two = "class V(Visitor):\n    def left(self):\n        return [*super().left(), Pool(name='box', free=0)]\n\n"
    body = f"{two}class Mine(LittleShop):\n    shopper = V" if "box" in what or stock == 50 else WHOLE
    code, report = tried("trial", adapter_file(tmp_path, body), little_shop[1].url, tmp_path, rules=Rules(stock=stock))
    assert code == 2
    assert what in " / ".join(problem.what for problem in report.problems)


@pytest.mark.parametrize("stock", [3, {"standing": 3}, 50_000])
def test_a_shop_that_shows_more_than_its_rules_declare_is_told_of_before_any_load(
    tmp_path: Path, little_shop, stock: int | dict[str, int]
) -> None:
    code, report = tried("trial", adapter_file(tmp_path, WHOLE), little_shop[1].url, tmp_path, rules=Rules(stock=stock))
    told = [one for one in report.notes if "of standing are left, and platform.rules.stock has 3: as it stands" in one]
    assert (code, len(told)) == (0, 0 if stock == 50_000 else 1)


def test_a_purchase_that_is_made_twice_is_found(tmp_path: Path, little_shop) -> None:
    body = (
        "class V(Visitor):\n    same_key_same_purchase = True\n\n    def buy(self, basket, key, *, declined):\n"
        "        if not int(self.browser.get('/sale').need('#basket').text):\n            self.reserve('standing', 1)\n"
        "        return super().buy(basket, key, declined=declined)\n\nclass Mine(LittleShop):\n    shopper = V"
    )
    code, report = tried("check", adapter_file(tmp_path, body), little_shop[1].url, tmp_path)
    assert code == 2
    assert "one purchase, whose answer was lost, became 2 orders" in " / ".join(one.what for one in report.problems)


def test_the_command_prints_each_verb_with_its_requests(tmp_path: Path, little_shop) -> None:
    adapter = adapter_file(tmp_path, WHOLE)
    options = ["--stack", little_shop[1].url, "--set", "platform.secrets.token=SHOP_TOKEN"]
    done = run("harness", "adapter", "check", adapter, *options, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    (buy, *_) = [line for line in done.stdout.splitlines() if line.startswith("buy ")]
    assert "POST /buy 303" in buy
    assert "GET /order/{n} 200" in buy
    assert "nothing is wrong" in done.stderr
    refused = run("harness", "adapter", "check", adapter, "--stack", "http://198.51.100.7", folder=tmp_path)
    assert refused.returncode == 2
    assert "'198.51.100.7' is not on this machine and not allowed" in refused.stderr


IN_VAIN = {
    "bought nothing": (
        "class V(Visitor):\n    def buy(self, basket, key, *, declined):\n"
        "        return Placed(order_id='1', state='confirmed')\n",
        "", "buy returned order '1' and sent no request: what did it buy?",
    ),
    "another name": (
        "class V(Visitor):\n    def placed(self, page):\n"
        "        return Placed(order_id='no-' + page.need('#id').text, state='confirmed')\n"
        "    def look_up(self, order_id):\n        return super().look_up(order_id[3:])\n",
        "orders", "the export has no order 'no-1' within 0.5 s",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("visitor", "verb", "what"), IN_VAIN.values(), ids=IN_VAIN)
def test_a_purchase_that_no_operator_sees_is_none(
    tmp_path: Path, little_shop, visitor: str, verb: str, what: str
) -> None:
    adapter = adapter_file(tmp_path, f"{visitor}\nclass Mine(LittleShop):\n    shopper = V")
    rules = Rules(at_rest_within_s=0.5)
    code, report = tried("trial", adapter, little_shop[1].url, tmp_path, rules=rules)
    assert code == 2
    (problem,) = report.problems
    assert problem.verb == verb
    assert what in problem.what


EXPORTED = """
class Mine(LittleShop):
    def orders(self, api):
        for order in super().orders(api):
            yield ExportedOrder(order_id=order.order_id, fan={fan!r}, state=order.state, cents=order.cents, {more})
"""


def test_an_export_of_part_of_an_order_or_of_another_fan_is_found_before_any_load(tmp_path: Path, little_shop) -> None:
    url = little_shop[1].url
    part = adapter_file(tmp_path, EXPORTED.format(fan="x", more="quantity=3"))
    assert "1 were bought, and the export shows 3" in tried("trial", part, url, tmp_path)[1].problems[0].what
    other = adapter_file(tmp_path, EXPORTED.format(fan="fan-000007", more="quantity=1"))
    assert "as that of fan-000007" in tried("trial", other, url, tmp_path)[1].problems[0].what
    nobody = adapter_file(tmp_path, EXPORTED.format(fan="customer 17", more="quantity=1"))
    code, report = tried("trial", nobody, url, tmp_path)
    assert code == 0
    [note] = [note for note in report.notes if "as that of customer 17" in note]
    assert "as it stands, the run gets no verdict" in note
    assert "self.email" in note


@pytest.mark.parametrize(
    ("resume_buy", "note"),
    [
        ("raise Refused('lost', unknown=True, final=True)", "gives up: resume_buy() looked, and cannot tell"),
        (None, "gives up, since the adapter cannot look: write resume_buy() or same_key_same_purchase"),
    ],
)
def test_a_fan_who_gives_up_after_a_lost_answer_is_told_of_as_it_is(
    tmp_path: Path, little_shop, resume_buy: str | None, note: str
) -> None:
    verb = f"    def resume_buy(self, basket, key, resume):\n        {resume_buy}\n" if resume_buy else "    pass\n"
    adapter = adapter_file(tmp_path, f"class V(Visitor):\n{verb}\nclass Mine(LittleShop):\n    shopper = V")
    code, report = tried("check", adapter, little_shop[1].url, tmp_path)
    assert (code, report.problems) == (0, ())
    assert [one for one in report.notes if "a fan whose buy got no answer" in one] == [
        f"a fan whose buy got no answer {note}"
    ]


def test_keys_that_are_no_promise_of_the_shop_are_not_declared(tmp_path: Path) -> None:
    body = "class V(Visitor):\n    same_key_same_purchase = True\n\nclass Mine(LittleShop):\n    shopper = V"
    assert "same_key" in described(body, tmp_path)[1]["capabilities"]
    body = "class Mine(LittleShop):\n    capabilities = LittleShop.capabilities | {Capability.SAME_KEY}"
    code, found = described(body, tmp_path)
    assert code == 2
    assert "SAME_KEY is declared by same_key_same_purchase = True" in found["problems"][0]["what"]


def test_a_name_that_the_scenario_does_not_give_is_said_with_those_that_it_does(tmp_path: Path, little_shop) -> None:
    body = "class Mine(LittleShop):\n    def stock(self, api):\n        return self.settings[self.secrets['tokn']]"
    _, report = tried("trial", adapter_file(tmp_path, body), little_shop[1].url, tmp_path)
    assert report.problems[0].where == "mine.py:6"
    assert report.problems[0].what.endswith("platform.secrets has no tokn: there are token")


@pytest.mark.parametrize("free", [0, -3])
def test_pools_of_which_nothing_is_left_before_the_load_are_said(tmp_path: Path, little_shop, free: int) -> None:
    _, server = little_shop
    body = f"""
class Gone(Visitor):
    def left(self):
        return [Pool(name="floor", free={free})]

class Mine(LittleShop):
    shopper = Gone
"""
    adapter = adapter_file(tmp_path, body)
    code, report = tried("trial", adapter, server.url, tmp_path, rules=Rules(map_late_max_s=0.5))
    assert code == 2
    [problem] = report.problems
    assert problem.where == line_in(adapter, "def left")
    assert (
        problem.what
        == f"it shows nothing left ({free} of floor): is all sold, and nothing makes it fresh (platform.prepare)?"
    )


@pytest.mark.parametrize(("free", "told"), [("7", True), ("None", False)])
def test_a_number_of_tickets_left_that_never_falls_is_told_of(
    tmp_path: Path, little_shop, free: str, told: bool
) -> None:
    body = f"class V(Visitor):\n    def left(self):\n        return [Pool(name='standing', free={free})]\n"
    adapter = adapter_file(tmp_path, f"{body}\nclass Mine(LittleShop):\n    shopper = V")
    rules = Rules(map_late_max_s=0.5)
    code, report = tried("check", adapter, little_shop[1].url, tmp_path, rules=rules)
    assert (code, report.problems) == (0, ())
    notes = [note for note in report.notes if note.startswith("left()")]
    assert notes == (
        [
            "left() still shows 7 of standing, as before 2 were reserved: 0.5 s later (rules.map_late_max_s) fans act "
            "by an old number"
        ]
        if told
        else []
    )


FEES = """
class V(Visitor):
    def placed(self, page):
        placed = super().placed(page)
        return Placed(order_id=placed.order_id, state=placed.state, quantity=placed.quantity, cents=placed.cents + 300)

class Mine(LittleShop):
    shopper = V
    def orders(self, api):
        for order in super().orders(api):
            yield ExportedOrder(
                order_id=order.order_id, fan=order.fan, state=order.state, cents=order.cents + 300,
                quantity=order.quantity, pool=order.pool,
            )
"""


@pytest.mark.parametrize(
    ("rules", "told"),
    [({}, True), ({"order_fee_cents": 300}, False), ({"order_fee_cents": 100, "ticket_fee_cents": 200}, False)],
)
def test_a_fee_that_is_not_shown_is_told_of_before_any_load_unless_it_is_declared(
    tmp_path: Path, little_shop, rules: dict[str, int], told: bool
) -> None:
    adapter = adapter_file(tmp_path, FEES)
    code, report = tried("trial", adapter, little_shop[1].url, tmp_path, rules=Rules(**rules))
    assert (code, report.problems) == (0, ())
    notes = [note for note in report.notes if "cents were shown" in note]
    assert len(notes) == told
    assert all(
        "2500 cents were shown, and the order is of 2800 (if that is a fee which the fan sees" in one for one in notes
    )


FEED = """
class V(Visitor):
    def feed(self, after):
        {feed}

class Mine(LittleShop):
    shopper = V
    capabilities = LittleShop.capabilities | {{Capability.FEED}}
"""


@pytest.mark.parametrize(
    ("feed", "what"),
    [
        ("yield Snapshot(states={'A1': 'sold'}, seq=1)", ""),
        ("yield SeatChange(seat='A1', state='sold', seq=1)", "it told SeatChange first, not a Snapshot"),
        ("yield Snapshot(states={'A1': 'gone'}, seq=1)", "feed returned the state 'gone', not one of free, held, sold"),
        ("yield 7", "feed returned int 7, not Snapshot"),
        ("yield from ()", "it told nothing: reset"),
    ],
)
def test_a_feed_tells_a_snapshot_first(tmp_path: Path, little_shop, feed: str, what: str) -> None:
    adapter = adapter_file(tmp_path, FEED.format(feed=feed))
    _, report = tried("check", adapter, little_shop[1].url, tmp_path)
    found = [problem for problem in report.problems if "feed" in (problem.verb + problem.what)]
    assert [what in problem.what for problem in found] == ([True] if what else [])
    assert {problem.where for problem in found} <= {line_in(adapter, "def feed")}


def test_a_feed_that_is_not_written_is_said(tmp_path: Path) -> None:
    body = "class Mine(LittleShop):\n    capabilities = LittleShop.capabilities | {Capability.FEED}"
    _, found = described(body, tmp_path)
    assert found["problems"][0]["what"] == "FEED is declared, and Visitor has no feed"


LOTTERY = """
class V(Visitor):
    def join(self):
        return None
    def place(self):
        self.browser.get("/sale")
        raise Refused("not_drawn")

class Mine(LittleShop):
    shopper = V
    capabilities = LittleShop.capabilities | {Capability.QUEUE}
"""


@pytest.mark.parametrize("what", ["trial", "check"])
def test_fans_who_are_not_drawn_are_no_problem_of_the_adapter_and_are_told(
    tmp_path: Path, little_shop, what: str
) -> None:
    shop, server = little_shop
    code, report = tried(what, adapter_file(tmp_path, LOTTERY), server.url, tmp_path)
    assert (code, report.problems, shop.orders) == (0, (), [])
    assert "drawn by lot" in report.notes[0]


def test_only_an_adapter_with_bots_of_its_own_has_some(tmp_path: Path) -> None:
    assert described(WHOLE, tmp_path)[1]["has_bots"] is False
    body = (
        "class Mine(LittleShop):\n    def bot_session(self, person, tactic):\n        return self.fan_session(person)"
    )
    assert described(body, tmp_path)[1]["has_bots"] is True
