"""What customers were charged: one entry for each key, however often it is asked for."""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

from target.little_shop.database import Database

DECLINED_CARD: Final = "4000000000000002"


class ChargeRequest(msgspec.Struct, frozen=True):
    """What a shop asks of the provider."""

    key: str
    order_id: str
    cents: int
    card: str


class Charge(msgspec.Struct, frozen=True):
    """What came of it. entry: capture | decline."""

    charge_id: str
    key: str
    order_id: str
    entry: str
    cents: int


class Ledger:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def charge(self, asked: ChargeRequest) -> Charge:
        """Charges the card, or tells what came of it when the key was used before."""
        with self._database.transaction():
            known = self._database.row(Charge, "SELECT * FROM ledger WHERE key = ?", asked.key)
            if known is not None:
                return known
            entry = "decline" if asked.card == DECLINED_CARD else "capture"
            made = Charge(f"ch_{secrets.token_hex(8)}", asked.key, asked.order_id, entry, asked.cents)
            self._database.run("INSERT INTO ledger VALUES (?, ?, ?, ?, ?)", *msgspec.structs.astuple(made))
        return made

    def entries(self) -> list[Charge]:
        """All of them, in the order in which they were made."""
        return self._database.rows(Charge, "SELECT * FROM ledger ORDER BY rowid")

    def reset(self) -> None:
        """Forgets everything."""
        self._database.run("DELETE FROM ledger")
