"""The people file: one row a fan, each used once, whichever worker a fan runs on.

A fan's row is the row of their number. Bots and lurkers come after the fans, in that order: whoever sees the pages may
have to log in. Values of `secret_columns` reach the adapter and nothing else.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.platform import Person
from harness.scenario import OwnPlatform
from harness.stack import Addresses

_OF_FANS: Final[Mapping[str, int]] = {"fan": 0}
_NO_ACCOUNT: Final[Mapping[str, str]] = {}
_number_of: Final = re.compile(r"(fan|bot|lurker)-(\d+)").fullmatch


class People:
    """The rows, and whose they are."""

    def __init__(
        self, rows: tuple[Mapping[str, str], ...], secret_columns: frozenset[str], first: Mapping[str, int] = _OF_FANS
    ) -> None:
        """`first`: kind of user → the first of their rows."""
        self._rows = rows
        self._first = first
        values: dict[str, set[int]] = {}
        for number, row in enumerate(rows):
            for column, value in row.items():
                if value and column not in secret_columns:
                    values.setdefault(value, set()).add(number)
        self._known = {value: self._actor(min(found)) for value, found in values.items() if len(found) == 1}

    def __len__(self) -> int:
        return len(self._rows)

    def account_of(self, person: Person) -> Mapping[str, str]:
        """The row of a fan, a bot or a lurker, also where an operator acts in their name; else nothing."""
        kind, number = person.kind, person.user
        if number < 0 or kind not in self._first:
            found = _number_of(person.actor)
            kind, number = (found[1], int(found[2])) if found else ("", -1)
        if not self._rows or kind not in self._first:
            return _NO_ACCOUNT
        row = self._first[kind] + number
        if row >= len(self._rows):
            rows = f"platform.people has {len(self._rows)} rows"
            raise InputError(f"{rows}; {kind} {number + 1} has none", hint="one row a fan")
        return self._rows[row]

    def _actor(self, row: int) -> str:
        """Who buys with it: a bot, a fan, or the trial, which is a fan of that number. Lurkers buy nothing."""
        if "bot" in self._first and self._first["bot"] <= row < self._first["lurker"]:
            return f"bot-{row - self._first['bot']:06d}"
        return f"fan-{row:06d}"

    def actor_of(self, value: str) -> str:
        """The fan whose row has that value, "" when none has."""
        return self._known.get(value, "")


def read_people(own: OwnPlatform, first: Mapping[str, int] = _OF_FANS) -> People:
    """The people of a scenario's platform; none without a file. `first`: as of `People`. Raises `InputError`."""
    if not own.people:
        return People((), frozenset())
    path = Path(own.people)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = reader.fieldnames or []
            rows = tuple(_row(path, number, row) for number, row in enumerate(reader, start=2))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as people: {error}", hint="a CSV file with a header line") from None
    if len(set(columns)) != len(columns) or "" in columns:
        raise InputError(f"{path} has a column without a name or twice", hint="the first line names each column once")
    if unknown := sorted(set(own.secret_columns) - set(columns)):
        hint = f"its columns are {', '.join(columns)}"
        raise InputError(f"platform.secret_columns names {unknown[0]!r}, which {path} has not", hint=hint)
    return People(rows, frozenset(own.secret_columns), first)


def people_of(addresses: Addresses) -> People:
    """Those of the platform at these addresses."""
    if addresses.own is None:
        return People((), frozenset())
    return read_people(addresses.own, addresses.people_from or _OF_FANS)


def _row(path: Path, number: int, row: Mapping[str | None, object]) -> Mapping[str, str]:
    if None in row or None in row.values():
        raise InputError(f"{path}:{number} has another number of fields than the first line", hint="mend that line")
    return {str(column): str(value) for column, value in row.items()}
