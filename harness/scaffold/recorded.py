"""The files of a rehearsal whose adapter is drafted from a HAR file."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.errors import InputError
from harness.hosts import is_loopback
from harness.registry.capabilities import Capability
from harness.scaffold.draft import Draft, Drafter, typed_values
from harness.scaffold.python import literal
from harness.scaffold.recording.har import read_har
from harness.scaffold.recording.purchase import group
from harness.scaffold.recording.sieve import sieve
from harness.scaffold.recording.steps import Visit, steps_of
from harness.scaffold.templates import WORKFLOW, filled

FANS: Final = 50
_TODO_MAX: Final = 200
_SIGNATURES: Final = {
    "open": "open(self) -> None",
    "join": "join(self) -> int | None",
    "place": "place(self) -> int | None",
    "positions": "positions(self) -> Iterator[int | None]",
    "enter": "enter(self) -> int | None",
    "left": "left(self) -> list[kit.Pool]",
    "reserve": "reserve(self, pool: str, quantity: int) -> kit.Basket",
    "venue": "venue(self) -> kit.Venue",
    "seats": "seats(self) -> kit.SeatMap",
    "reserve_seats": "reserve_seats(self, seats: tuple[str, ...]) -> kit.Basket",
    "basket": "basket(self) -> kit.Basket | None",
    "give_back": "give_back(self, basket: kit.Basket) -> None",
    "buy": "buy(self, basket: kit.Basket, key: str, *, declined: bool) -> kit.Placed",
    "look_up": "look_up(self, order_id: str) -> kit.Placed",
}


class Method(msgspec.Struct, frozen=True):
    """One verb, for the template."""

    signature: str
    lines: list[str]


class Recorded(msgspec.Struct, frozen=True):
    """What is written, what was dropped of the recording, and what could not be told from it."""

    files: dict[str, str]
    dropped: tuple[str, ...]
    todos: tuple[str, ...]


def recorded_files(
    har: Path, url: str = "", *, stock: bool = False, seats: bool = False, queue: bool = False
) -> Recorded:
    """`url`: where the shop is now, instead of where it was recorded; without a path the recorded one is kept. `stock`,
    `seats`, `queue`: what the user says the shop has. Raises InputError."""
    sieved = sieve(read_har(har))
    steps = steps_of(sieved.kept)
    room = Visit([sieved.room]) if sieved.room else None
    draft = Drafter(steps, msgspec.structs.replace(group(steps), room=room)).draft()
    todos = [_clean(todo) for todo in (*_unseen(draft, stock=stock, seats=seats, queue=queue), *draft.todos)]
    draft = msgspec.structs.replace(draft, todos=todos, url=_moved(draft.url, url) if url else draft.url)
    files = _files(draft)
    try:
        ast.parse(files["shop.py"])
    except (SyntaxError, ValueError) as error:
        raise InputError(f"no adapter can be drafted from it: {error}", file=str(har)) from None
    secret = sorted(set(typed_values(steps)), key=len, reverse=True)
    return Recorded(
        files={name: _without(text, secret) for name, text in files.items()},
        dropped=sieved.dropped,
        todos=tuple(_without(todo, secret) for todo in draft.todos),
    )


def _unseen(draft: Draft, *, stock: bool, seats: bool, queue: bool) -> Iterator[str]:
    """What the user says that the shop has, and the recording does not show."""
    if queue and not draft.has_queue:
        yield "the queue: nobody waits in the recording (`join`, `place` and `enter` in shop.py)"
    if seats and not draft.has_seats:
        yield "the seats: none was chosen in the recording (`venue`, `seats` and `reserve_seats` in shop.py)"
    if stock and draft.has_seats:
        yield "tickets without a seat: seats were chosen in the recording (`left` and `reserve` in shop.py)"


def _moved(recorded: str, url: str) -> str:
    parts = urlsplit(url)
    return url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{urlsplit(recorded).path}"


def _files(draft: Draft) -> dict[str, str]:
    capabilities = [
        *([Capability.QUEUE] if draft.has_queue else []),
        Capability.SEATS if draft.has_seats else Capability.STOCK,
        *([Capability.HOLD_RELEASE] if draft.gives_back else []),
        *([Capability.LOOKUP] if draft.has_lookup else []),
    ]
    hosts = [urlsplit(draft.url).hostname or "", *([draft.room] if draft.room else [])]
    code = "\n".join(line for lines in draft.bodies.values() for line in lines)
    people = {"people.csv": "name,password\n"} if draft.logs_in else {}
    return people | {
        "shop.py": filled(
            "drafted.py",
            todos=draft.todos,
            has_stream="positions" in draft.bodies,
            uses_json="json.loads(" in code,
            uses_address="urlsplit(" in code,
            uses_kept="self.kept" in code,
            first_page=literal(draft.first_page) if draft.first_page else "",
            methods=[Method(_SIGNATURES[name], lines) for name, lines in draft.bodies.items()],
            declared=", ".join(f'"{capability}"' for capability in capabilities) + "," * (len(capabilities) == 1),
        ),
        "onsale.yaml": filled(
            "drafted.yaml", fans=FANS, url=_json(draft.url), settings=draft.settings, logs_in=draft.logs_in,
            gives_back=draft.gives_back, hosts=", ".join(_json(one) for one in hosts if not is_loopback(one)),
            room=_json(draft.room) if draft.room else "",
        ),
        "prepare.sh": filled("drafted.sh"),
        WORKFLOW: filled("rehearse.yml"),
        "README.md": filled("README.md", drafted=True, todos=draft.todos),
        ".gitignore": filled("gitignore"),
    }  # fmt: skip


def _json(text: str) -> str:
    """A string of a YAML file."""
    return msgspec.json.encode(text).decode()


def _clean(todo: str) -> str:
    """Text that ends neither a comment nor a docstring."""
    kept = "".join(character if character.isprintable() and character not in '"\\' else "_" for character in todo)
    return kept[:_TODO_MAX]


def _without(text: str, secret: Collection[str]) -> str:
    """The last net: what was typed is in no file, wherever it may have come from."""
    for value in secret:
        text = text.replace(value, "TODO")
    return text
