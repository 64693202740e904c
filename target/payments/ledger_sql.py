"""The ledger's work on its SQLite file, each function one step inside a transaction that the caller opens and commits.

A change of a charge and the webhook that reports it are written in one transaction. Every function checks before it
writes, so a refusal leaves nothing behind.
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

import msgspec

from target.payments.records import (
    DECLINE_CODES,
    Charge,
    ChargeKeyReusedError,
    ChargeRequest,
    ChargeStatus,
    LedgerRow,
    NoSuchChargeError,
    NotRefundableError,
    Refund,
    WebhookEvent,
    WrongStatusError,
)

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS charges (
    charge_id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL,
    amount_cents INTEGER NOT NULL, card TEXT NOT NULL, capture INTEGER NOT NULL, reference TEXT NOT NULL,
    status TEXT NOT NULL, decline_code TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS refunds (
    refund_id TEXT PRIMARY KEY, idempotency_key TEXT NOT NULL UNIQUE,
    charge_id TEXT NOT NULL UNIQUE REFERENCES charges);
CREATE TABLE IF NOT EXISTS outbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, created_s REAL NOT NULL, due_s REAL NOT NULL,
    plan TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS outbox_due ON outbox (due_s);
"""
_CHARGE: Final = """
SELECT charge_id, status, order_id, amount_cents, decline_code, reference,
       EXISTS (SELECT 1 FROM refunds WHERE refunds.charge_id = charges.charge_id)
FROM charges WHERE {column} = ?
"""


class OutboxWebhook(msgspec.Struct, frozen=True):
    """One webhook in the outbox. `plan`: how it is sent, "" while undecided; times are unix s."""

    number: int
    body: bytes
    created_s: float
    due_s: float
    plan: str
    attempts: int


def charge(connection: sqlite3.Connection, key: str, request: ChargeRequest, *, report: bool) -> Charge:
    """Captures, authorises or declines, once per key."""
    row = connection.execute(
        "SELECT order_id, amount_cents, card, capture, reference FROM charges WHERE idempotency_key = ?", (key,)
    ).fetchone()
    asked = (request.order_id, request.amount_cents, request.card, request.capture, request.reference)
    if row is not None:
        if tuple(row) != asked:
            raise ChargeKeyReusedError(key)
        return _one(connection, "idempotency_key", key)
    code = DECLINE_CODES.get(request.card, "")
    good = ChargeStatus.CAPTURED if request.capture else ChargeStatus.AUTHORISED
    made = Charge(
        charge_id=f"ch_{secrets.token_hex(10)}",
        status=ChargeStatus.DECLINED if code else good,
        order_id=request.order_id,
        amount_cents=request.amount_cents,
        decline_code=code,
        reference=request.reference,
    )
    connection.execute(
        "INSERT INTO charges VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (made.charge_id, key, *asked, made.status, code)
    )
    if report:
        _report(connection, made)
    return made


def find(connection: sqlite3.Connection, column: str, value: str) -> Charge | None:
    """The charge with this `charge_id` or `idempotency_key`."""
    row = connection.execute(_CHARGE.format(column=column), (value,)).fetchone()
    if row is None:
        return None
    charge_id, status, order_id, amount_cents, decline_code, reference, refunded = row
    return Charge(charge_id, ChargeStatus(status), order_id, amount_cents, decline_code, reference, bool(refunded))


def move(connection: sqlite3.Connection, charge_id: str, to: ChargeStatus, *, report: bool) -> Charge:
    """authorised → captured or voided; a repeat answers the same. Raises `NoSuchChargeError`, `WrongStatusError`."""
    known = _one(connection, "charge_id", charge_id)
    if known.status is to:
        return known
    if known.status is not ChargeStatus.AUTHORISED:
        raise WrongStatusError(known)
    connection.execute("UPDATE charges SET status = ? WHERE charge_id = ?", (to, charge_id))
    moved = msgspec.structs.replace(known, status=to)
    if report:
        _report(connection, moved)
    return moved


def refund(connection: sqlite3.Connection, key: str, charge_id: str, *, report: bool) -> Refund:
    """Refunds a captured charge, once per charge. Raises `NotRefundableError`."""
    used = connection.execute("SELECT charge_id FROM refunds WHERE idempotency_key = ?", (key,)).fetchone()
    if used is not None and used[0] != charge_id:
        raise ChargeKeyReusedError(key)
    given = connection.execute("SELECT refund_id, charge_id FROM refunds WHERE charge_id = ?", (charge_id,)).fetchone()
    if given is not None:
        return Refund(*given)
    known = find(connection, "charge_id", charge_id)
    if known is None or known.status is not ChargeStatus.CAPTURED:
        raise NotRefundableError(charge_id)
    made = Refund(f"re_{secrets.token_hex(10)}", charge_id)
    connection.execute("INSERT INTO refunds VALUES (?, ?, ?)", (made.refund_id, key, charge_id))
    if report:
        _report(connection, msgspec.structs.replace(known, refunded=True))
    return made


def rows(connection: sqlite3.Connection) -> list[LedgerRow]:
    """Every entry: captures, refunds, declines."""
    charges = connection.execute(
        "SELECT charge_id, idempotency_key, order_id, CASE status WHEN 'captured' THEN 'capture' ELSE 'decline' END,"
        " amount_cents, card FROM charges WHERE status IN ('captured', 'declined')"
    )
    refunds = connection.execute(
        "SELECT charge_id, r.idempotency_key, order_id, 'refund', amount_cents, card"
        " FROM refunds r JOIN charges USING (charge_id)"
    )
    return [LedgerRow(*row) for found in (charges.fetchall(), refunds.fetchall()) for row in found]


def due_webhooks(connection: sqlite3.Connection, now_s: float, limit: int) -> list[OutboxWebhook]:
    """The webhooks that are due, oldest first."""
    found = connection.execute(
        "SELECT number, body, created_s, due_s, plan, attempts FROM outbox WHERE due_s <= ? ORDER BY number LIMIT ?",
        (now_s, limit),
    )
    return [OutboxWebhook(*row) for row in found]


def next_due_s(connection: sqlite3.Connection) -> float | None:
    """When the next webhook is due; None: the outbox is empty."""
    due_s = connection.execute("SELECT min(due_s) FROM outbox").fetchone()[0]
    return None if due_s is None else float(due_s)


def update_outbox(connection: sqlite3.Connection, gone: Sequence[int], postponed: Sequence[OutboxWebhook]) -> None:
    """Removes webhooks that were sent or given up, by number, and saves the given state of the others."""
    connection.executemany("DELETE FROM outbox WHERE number = ?", [(number,) for number in gone])
    connection.executemany(
        "UPDATE outbox SET due_s = ?, plan = ?, attempts = ? WHERE number = ?",
        [(hook.due_s, hook.plan, hook.attempts, hook.number) for hook in postponed],
    )


def _one(connection: sqlite3.Connection, column: str, value: str) -> Charge:
    found = find(connection, column, value)
    if found is None:
        raise NoSuchChargeError(value)
    return found


def _report(connection: sqlite3.Connection, changed: Charge) -> None:
    now_s = time.time()
    kind = "refunded" if changed.refunded else changed.status
    event = WebhookEvent(f"ev_{secrets.token_hex(12)}", f"charge.{kind}", now_s, changed)
    connection.execute(
        "INSERT INTO outbox (body, created_s, due_s) VALUES (?, ?, ?)", (msgspec.json.encode(event), now_s, now_s)
    )
