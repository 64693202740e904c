"""The bugs that the reference booking system can plant in itself, as its own process tells them."""

from __future__ import annotations

import msgspec

from harness.errors import InputError
from harness.stack.reference.reference_check import told_by_reference
from harness.yaml_file import suggest


class PlantedBug(msgspec.Struct, frozen=True):
    """One bug. `breaks`: the invariant that a rehearsal then finds violated."""

    name: str
    description: str
    breaks: str


def planted_bugs() -> tuple[PlantedBug, ...]:
    """All of them, by name. Raises EnvironmentProblem when the system does not start here."""
    return tuple(msgspec.json.decode(line, type=PlantedBug) for line in told_by_reference("bugs"))


def require_bug(name: str, option: str) -> None:
    """Refuses a name that is no bug; "" asks for none. Raises InputError."""
    if name and name not in (known := [bug.name for bug in planted_bugs()]):
        raise InputError(f"{name!r} is no planted bug", key=option, hint=suggest(name, known))
