"""Finds in a recorded purchase what was reserved: how many tickets, of which pool, or which seats."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlencode

from harness.scaffold.recording.forms import TOKEN_NAME, sent_form
from harness.scaffold.recording.personal import personal
from harness.scaffold.recording.purchase import Purchase, is_quantity
from harness.scaffold.recording.steps import Step, leaves

TOKEN_LENGTH: Final = 12
_CAMPAIGN: Final = re.compile(r"utm_|[a-z]+clid$|_ga", re.I)
_POOL_NAME: Final = re.compile(r"pool|item|product|ticket|sku|variant|category|offer|type|price|id$", re.I)
PLAIN: Final = re.compile(r"[\w.\[\]-]+")


class Goods:
    """What is known before anything is written."""

    def __init__(self, steps: Sequence[Step], purchase: Purchase) -> None:
        self.steps = steps
        self.purchase = purchase
        self.todos: list[str] = []
        self.settings: dict[str, str] = {}
        self.logs_in = False
        self.emitted: set[int] = set()  # steps that a verb before makes
        self.kept: dict[tuple[int, str], str] = {}  # (step, how it is read) → its name
        first = purchase.first.asked
        folder = first.parts.path
        self.base = folder if folder.endswith("/") else f"{folder}/"
        self.url = f"{first.parts.scheme}://{first.parts.netloc.rpartition('@')[2]}{first.parts.path}"
        kept = [(name, value) for name, value in first.query if not _is_campaign(name, value)]
        self.first_page = f"?{urlencode(kept)}" if kept else ""
        reserve = purchase.reserve
        self.since = reserve.number if reserve else len(steps)
        self.form = sent_form(reserve, steps[: reserve.number]) if reserve else None
        self.quantity_field = self._quantity_field()
        self.seat_field = self._seat_field()
        self.pool_field = "" if self.seat_field else self._pool_field()

    def _quantity_field(self) -> str:
        reserve = self.purchase.reserve
        if reserve is None:
            return ""
        fields = list(reserve.asked.fields) or [
            (str(path[-1]) if path else "", str(value)) for path, value in leaves(reserve.json)
        ]
        named = [name for name, value in fields if is_quantity(name, value)]
        if self.form is not None:
            counted = [
                name for name, value in fields if value.isdigit() and value != "0" and self.form.control(name).numeric
            ]
            return next((name for name in named if name in counted), "") or next(iter([*counted, *named]), "")
        return named[0] if named else ""

    def _seat_field(self) -> str:
        reserve, form = self.purchase.reserve, self.form
        if reserve is None or form is None:
            return ""
        return next((name for name, _ in reserve.asked.fields if form.boxes(name) > 1), "")

    def _pool_field(self) -> str:
        """The hidden field that says what is sold; the field for the number itself where each kind has one."""
        form = self.form
        if form is None:
            return ""
        numeric = [node for node in form.node.css("input[type=number]") if node.attributes.get("name")]
        if len(numeric) > 1:
            return self.quantity_field
        hidden = [
            node.attributes.get("name") or ""
            for node in form.node.css("input[type=hidden]")
            if (name := node.attributes.get("name") or "") != self.quantity_field
            and (node.attributes.get("value") or "")
            and not TOKEN_NAME.search(name)
        ]
        fitting = [name for name in hidden if _POOL_NAME.search(name)] or hidden
        return next((name for name in fitting if PLAIN.fullmatch(name)), "")

    def _is_quantity(self, step: Step, name: str) -> bool:
        return step is self.purchase.reserve and bool(name) and name == self.quantity_field and not self.seat_field

    def _is_pool(self, step: Step, name: str) -> bool:
        return step is self.purchase.reserve and bool(name) and name == self.pool_field

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.base) if path.startswith(self.base) and path != self.base else path


def _is_campaign(name: str, value: str) -> bool:
    """Whether a parameter of the first page tells where that visitor came from, or who they are."""
    return bool(_CAMPAIGN.match(name)) or len(value) > TOKEN_LENGTH or personal(name, value) is not None
