"""Adapters that raise, hang, or return the wrong thing: named with verb, fan, file and line, and counted."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import gevent
import pytest

from harness.adapter.errors import AdapterFault, NoAnswer, Refused
from harness.adapter.kit import Basket, Placed, Pool
from harness.adapter.running.session import KitSession
from harness.record.schema import Outcome
from harness.scenario.own_platform import Limits
from harness.swarm.users.crashes import CrashLog
from tests.harness.adapter.running.test_session import now, person, raised, table
from tests.harness.adapter.shop import LittleShop, Shop, Visitor


def shop_of(**verbs: Callable[..., object]) -> type[LittleShop]:
    """The little shop with these verbs of its visitors replaced."""
    return type(
        "Broken", (LittleShop,), {"shopper": type("BrokenVisitor", (Visitor,), {"join": lambda self: None, **verbs})}
    )


def line_of(function: Callable[..., object], text: str) -> str:
    """file:line of the line of a function that has this text."""
    lines, first = inspect.getsourcelines(function)
    number = next(number for number, line in enumerate(lines, first) if text in line)
    return f"tests/harness/adapter/test_faults.py:{number}"


def raises(self, pool, quantity):
    return {}["no such key"]


def hangs(self, pool, quantity):
    gevent.sleep(60)


def swallows(self, pool, quantity):
    while True:
        try:
            gevent.sleep(60)
        except Exception:  # noqa: BLE001 - as careless adapters do
            continue


def loops(self, pool, quantity):
    while True:
        self.browser.get("/sale")


@pytest.mark.parametrize(
    ("verb", "text", "words"),
    [
        (raises, "no such key", "reserve of fan-000000: KeyError: 'no such key'"),
        (hangs, "sleep", "reserve of fan-000000: it did not end within its time"),
        (swallows, "sleep", "reserve of fan-000000: it did not end within its time"),
        (loops, "browser", "reserve of fan-000000: made more than 1000 requests in one verb"),
    ],
)
def test_a_verb_that_raises_or_hangs_is_named(verb, text: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.adapter.browsing.browser._PATIENCE_S", 0.0)
    with raised(Shop(), shop_of(reserve=verb), limits=Limits(connect_s=0.2, whole_s=0.2)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        with pytest.raises(AdapterFault) as fault:
            fan.hold_stock(now(), "standing", 1)
        fan.close()
        (row,) = table(recorder, "operations")
    assert (str(fault.value), fault.value.where) == (words, line_of(verb, text))
    assert (row["outcome"], row["error"], row["t_complete_s"]) == ("unknown", "adapter", None)


def whole_visit(fan: KitSession) -> None:
    fan.join(now())
    fan.stock(now())
    hold = fan.hold_stock(now(), "standing", 1).value
    fan.pay(now(), hold, key="k", declined_on_purpose=False)


def wrong(value: object) -> Callable[..., object]:
    def verb(self, *_arguments, **_keywords):
        return value

    return verb


@pytest.mark.parametrize(
    ("verb", "value", "words"),
    [
        ("reserve", None, "reserve returned None, not Basket"),
        ("reserve", {"quantity": 1}, "reserve returned dict {'quantity': 1}, not Basket"),
        (
            "reserve",
            Basket(quantity="2"),
            "reserve returned Basket with a wrong field: Expected `int | null`, got `str`",
        ),
        (
            "reserve",
            Basket(cents=12.5),
            "reserve returned Basket with a wrong field: Expected `int | null`, got `float`",
        ),
        ("left", Pool(name="x"), "left returned Pool Pool(name='x', free=None, price_cents=None), not a list of Pool"),
        ("left", "standing", "left returned str 'standing', not a list of Pool"),
        ("left", [("standing", 3)], "left returned tuple ('standing', 3), not Pool"),
        (
            "buy",
            Placed(order_id=7, state="confirmed"),
            "buy returned Placed with a wrong field: Expected `str`, got `int`",
        ),
        ("buy", Placed(order_id="7", state="paid"), "buy returned state 'paid', not one of confirmed, declined"),
        ("join", "third", "join returned str 'third', not a number or None"),
    ],
)
def test_a_verb_that_returns_the_wrong_thing_is_said_in_a_sentence(verb: str, value: object, words: str) -> None:
    broken = wrong(value)
    with raised(Shop(), shop_of(**{verb: broken})) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        with pytest.raises(AdapterFault) as fault:
            whole_visit(fan)
        fan.close()
    assert words in str(fault.value)
    assert fault.value.where == line_of(wrong, "def verb")


def test_equal_crashes_are_counted_at_the_adapters_line() -> None:
    log = CrashLog()
    with raised(Shop(), shop_of(reserve=raises)) as (platform, _):
        for number in range(3):
            fan = platform.fan_session(person(number))
            fan.queue_page(now())
            with pytest.raises(AdapterFault) as fault:
                fan.hold_stock(now(), "standing", 1)
            log.note(fault.value, kind="fan", step="hold")
            fan.close()
    (crash,) = log.summary()
    assert (crash.count, crash.where) == (3, line_of(raises, "no such key"))
    assert "reserve of fan-000000: KeyError" in crash.what


def posts_then_fails(self, pool, quantity):
    form = self.browser.get("/sale").form("#add")
    self.browser.submit(form, quantity=quantity)
    self.browser.get("/order/99")


def fails_first(self, pool, quantity):
    self.browser.get("/order/99")


@pytest.mark.parametrize(("verb", "outcome"), [(posts_then_fails, Outcome.UNKNOWN), (fails_first, Outcome.FAIL)])
def test_a_page_that_fails_leaves_it_open_whether_it_happened_only_after_a_post(verb, outcome: Outcome) -> None:
    with raised(Shop(), shop_of(reserve=verb)) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        answer = fan.hold_stock(now(), "standing", 1)
        fan.close()
    assert (answer.outcome, answer.error) == (outcome, "status")


@pytest.mark.parametrize(
    ("refused", "final"),
    [
        (Refused("conflict"), True),
        (Refused("conflict", final=False), False),
        (Refused("busy", retry_after_s=2.0), False),
        (Refused("timeout", unknown=True), False),
        (Refused("missing"), False),
    ],
)
def test_a_refusal_is_final_unless_it_says_otherwise(refused: Refused, final: bool) -> None:
    assert refused.final is final


def broken_export(self, api):
    return [{}["nothing"]]


def wrong_rows(self, api):
    yield ("1", "confirmed")


def asks_a_dead_page(self, api):
    api.get("/api/nothing", headers={"Authorization": "wrong"})
    return []


@pytest.mark.parametrize(
    ("orders", "text", "words"),
    [
        (broken_export, "nothing", "KeyError: 'nothing'"),
        (wrong_rows, "yield", "orders returned tuple ('1', 'confirmed'), not ExportedOrder"),
        (asks_a_dead_page, "api.get", "GET /api/nothing was answered with status 401"),
    ],
)
def test_an_export_that_cannot_be_read_is_null_and_noted(orders, text: str, words: str, monkeypatch) -> None:
    monkeypatch.setattr("harness.adapter.running.at_rest._POLL_S", 0.01)
    kind = type("Broken", (LittleShop,), {"orders": orders, "at_rest": lambda self, api: True})
    with raised(Shop(), kind) as (platform, _):
        reads = platform.final_reads([], 1.0)
    assert reads.orders is None
    (note,) = (note for note in reads.notes if "orders" in note)
    assert words in note
    assert "tests/harness/adapter/test_faults.py:" in note


def test_the_value_of_a_secret_is_in_no_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaks(self, api):
        raise ValueError(f"token {self.secrets['token']} was refused")

    kind = type("Leaky", (LittleShop,), {"orders": leaks, "at_rest": lambda self, api: True})
    with raised(Shop(), kind) as (platform, _):
        reads = platform.final_reads([], 1.0)
    assert "swordfish" not in str(reads)
    assert "token *** was refused" in str(reads.notes)


def test_a_wrong_answer_is_no_fault_of_the_adapters() -> None:
    def reads_json(self, pool, quantity):
        return self.browser.get("/sale").json

    with raised(Shop(), shop_of(reserve=reads_json)) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        answer = fan.hold_stock(now(), "standing", 1)
        fan.close()
    assert (answer.outcome, answer.error) == (Outcome.FAIL, "protocol")


def test_an_adapter_may_catch_what_was_not_answered() -> None:
    def tries_twice(self, pool, quantity):
        try:
            self.browser.get("/order/99")
        except NoAnswer as failure:
            assert failure.status == 404  # noqa: PT017 - in the adapter
        return Basket()

    with raised(Shop(), shop_of(reserve=tries_twice)) as (platform, _):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        assert fan.hold_stock(now(), "standing", 3).value.quantity == 3
        fan.close()


def test_what_an_adapter_writes_is_recorded_without_secrets() -> None:
    """The token is in the environment as SHOP_TOKEN, and the adapter puts it where it is recorded."""

    def careless(self, pool, quantity):
        self.browser.get(f"/{self.secrets['token']}/cart", expects={404})
        raise Refused(f"bad token {self.secrets['token']}")

    with raised(Shop(), shop_of(reserve=careless)) as (platform, recorder):
        fan = platform.fan_session(person())
        fan.queue_page(now())
        assert fan.hold_stock(now(), "standing", 1).error == "bad token ***"
        fan.close()
        tables = {name: table(recorder, name) for name in ("operations", "requests")}
    assert tables["operations"][-1]["error"] == "bad token ***"
    assert "swordfish" not in str(tables)
