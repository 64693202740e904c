"""The people file: one row a fan, each used once, whichever worker a fan runs on.

A fan's row is the row of their number; nobody else has one. Values of `secret_columns`
reach the adapter and nothing else.
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

_NO_ACCOUNT: Final[Mapping[str, str]] = {}
_number_of: Final = re.compile(r"fan-(\d+)").fullmatch


class People:
    """The rows, and whose they are."""

    def __init__(self, rows: tuple[Mapping[str, str], ...], secret_columns: frozenset[str]) -> None:
        self._rows = rows
        values: dict[str, set[int]] = {}
        for number, row in enumerate(rows):
            for column, value in row.items():
                if value and column not in secret_columns:
                    values.setdefault(value, set()).add(number)
        self._known = {value: f"fan-{min(found):06d}" for value, found in values.items() if len(found) == 1}

    def __len__(self) -> int:
        return len(self._rows)

    def account_of(self, person: Person) -> Mapping[str, str]:
        """The row of a fan; of an operator, and without a file, nothing."""
        if not self._rows or person.user < 0 or person.kind != "fan":
            found = _number_of(person.actor)
            if not self._rows or found is None:
                return _NO_ACCOUNT
            number = int(found[1])
        else:
            number = person.user
        if number >= len(self._rows):
            raise InputError(
                f"platform.people has {len(self._rows)} rows; fan {number + 1} has none", hint="one row a fan"
            )
        return self._rows[number]

    def actor_of(self, value: str) -> str:
        """The fan whose row has that value, "" when none has."""
        return self._known.get(value, "")


def read_people(own: OwnPlatform) -> People:
    """The people of a scenario's platform; none without a file. Raises `InputError`."""
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
    return People(rows, frozenset(own.secret_columns))


def people_of(addresses: Addresses) -> People:
    """Those of the platform at these addresses."""
    return read_people(addresses.own) if addresses.own is not None else People((), frozenset())


def _row(path: Path, number: int, row: Mapping[str | None, object]) -> Mapping[str, str]:
    if None in row or None in row.values():
        raise InputError(f"{path}:{number} has another number of fields than the first line", hint="mend that line")
    return {str(column): str(value) for column, value in row.items()}
