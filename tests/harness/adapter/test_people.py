"""The people file: a row for each fan, used once; too few rows and strange files are one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.adapter.people import read_people
from harness.errors import InputError
from harness.platform import Person
from harness.scenario import Load, OwnPlatform
from tests.harness.adapter.running.test_session import raised
from tests.harness.adapter.shop import LittleShop, Shop

ROWS = "login,card,password\nann@shop.test,4242,a\nbob@shop.test,4242,b\n"


def people_file(folder: Path, text: str = ROWS) -> Path:
    path = folder / "people.csv"
    path.write_text(text, encoding="utf-8")
    return path


def fan(number: int) -> Person:
    return Person(user=number, kind="fan", actor=f"fan-{number:06d}", identity="x")


def test_each_fan_has_the_row_of_their_number(tmp_path: Path) -> None:
    people = read_people(OwnPlatform(people=str(people_file(tmp_path))))
    assert [people.account_of(fan(number))["login"] for number in (1, 0)] == ["bob@shop.test", "ann@shop.test"]
    operator = Person(user=-1, kind="operator", actor="fan-000001", identity="x")  # in a fan's name
    assert people.account_of(operator)["login"] == "bob@shop.test"
    assert people.account_of(Person(user=-1, kind="operator", actor="operator", identity="operator")) == {}


def test_a_value_that_is_one_fans_alone_names_them_in_an_export(tmp_path: Path) -> None:
    own = OwnPlatform(people=str(people_file(tmp_path)), secret_columns=("password",))
    people = read_people(own)
    assert people.actor_of("bob@shop.test") == "fan-000001"
    assert people.actor_of("4242") == ""  # several have it
    assert people.actor_of("b") == ""  # secret


def test_bots_and_lurkers_have_rows_of_their_own_after_the_fans(tmp_path: Path) -> None:
    own = OwnPlatform(people=str(people_file(tmp_path, "login\n" + "".join(f"p{number}\n" for number in range(7)))))
    people = read_people(own, Load(fans=2, bots=2, lurkers=1).people_from)
    whose = [("fan", 0), ("fan", 1), ("bot", 0), ("bot", 1), ("lurker", 0), ("fan", 5)]  # the last of the trial's
    persons = [Person(user=number, kind=kind, actor=f"{kind}-{number:06d}", identity="x") for kind, number in whose]
    assert [people.account_of(person)["login"] for person in persons] == ["p0", "p1", "p2", "p3", "p4", "p5"]
    operator = Person(user=-1, kind="operator", actor="bot-000001", identity="x")  # in a bot's name
    assert people.account_of(operator)["login"] == "p3"
    assert [people.actor_of(f"p{row}") for row in (1, 3, 6)] == ["fan-000001", "bot-000001", "fan-000006"]


def test_a_fan_without_a_row_is_one_line(tmp_path: Path) -> None:
    people = read_people(OwnPlatform(people=str(people_file(tmp_path))))
    with pytest.raises(InputError, match=r"platform\.people has 2 rows; fan 5 has none"):
        people.account_of(fan(4))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1\n", "people.csv:2 has another number of fields"),
        ("a,b\n1,2\n1,2,3\n", "people.csv:3 has another number of fields"),
        ("a,a\n1,2\n", "a column without a name or twice"),
        ('a,b\n"1,2\n', "cannot be read as people"),
    ],
)
def test_a_strange_file_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    own = OwnPlatform(people=str(people_file(tmp_path, text)))
    with pytest.raises(InputError, match=words):
        read_people(own)


def test_a_secret_column_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    own = OwnPlatform(people=str(people_file(tmp_path)), secret_columns=("pin",))
    with pytest.raises(InputError, match=r"platform\.secret_columns names 'pin'"):
        read_people(own)


def test_a_shopper_has_their_account(tmp_path: Path) -> None:
    with raised(Shop(), LittleShop, people=str(people_file(tmp_path))) as (platform, _):
        assert platform.fan_session(fan(1)).shopper.account["password"] == "b"
        assert platform.actor_of("ann@shop.test") == "fan-000000"
        assert platform.actor_of("fan-000007@fans.gatecrash.test") == "fan-000007"
