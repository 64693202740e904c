"""Who is asking: the session cookie, the token that every form carries against forged posts, and the login.

A browser gets two cookies in its first answer: the session, and the token that its forms must repeat.
"""

from __future__ import annotations

import csv
import hmac
import secrets
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs

import msgspec
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from target.little_shop.database import Database
from target.little_shop.sale.baskets import RefusedError

SESSION: Final = "shop_session"
TOKEN: Final = "shop_token"  # noqa: S105 - the name of a cookie
FORM_BYTES_MAX: Final = 64 * 1024
Form = dict[str, list[str]]


class Visitor(msgspec.Struct, frozen=True):
    """One browser."""

    session: str
    token: str
    is_new: bool


def visitor(connection: HTTPConnection) -> Visitor:
    """The browser by its cookies, or a new one."""
    session, token = connection.cookies.get(SESSION), connection.cookies.get(TOKEN)
    if session and token:
        return Visitor(session, token, is_new=False)
    return Visitor(secrets.token_urlsafe(18), secrets.token_urlsafe(12), is_new=True)


def greet(response: Response, who: Visitor, path: str) -> Response:
    """Gives a new browser its cookies."""
    if who.is_new:
        response.set_cookie(SESSION, who.session, path=path, httponly=True, samesite="lax")
        response.set_cookie(TOKEN, who.token, path=path, samesite="lax", max_age=86_400)
    return response


async def read_form(request: Request, who: Visitor) -> Form:
    """The fields of a posted form. Raises `RefusedError` when it does not carry the browser's token."""
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise RefusedError("form", "This form is too large.", 413)
    form = parse_qs(body.decode(errors="replace"), keep_blank_values=True)
    if who.is_new or not hmac.compare_digest(field(form, "token").encode(), who.token.encode()):
        raise RefusedError("form", "This form has expired. Please go back and load the page again.", 403)
    return form


def field(form: Form, name: str) -> str:
    """A field of a form; "" when it is missing."""
    return form.get(name, [""])[0]


class Accounts:
    """Customers with a password, from a CSV file with the columns `name` and `password`. No file: no login is asked."""

    def __init__(self, file: str, database: Database) -> None:
        self._passwords = _read(file) if file else {}
        self._database = database
        self.required = bool(file)

    def log_in(self, session: str, name: str, password: str) -> bool:
        """Says whether that is the password."""
        expected = self._passwords.get(name, secrets.token_hex(16))
        if not hmac.compare_digest(expected.encode(), password.encode()):
            return False
        self._database.run("INSERT OR REPLACE INTO accounts VALUES (?, ?)", session, name)
        return True

    def of(self, session: str) -> str:
        """Who is logged in; "" for nobody."""
        return self._database.text("SELECT name FROM accounts WHERE session = ?", session)


def _read(file: str) -> dict[str, str]:
    with Path(file).open(encoding="utf-8", newline="") as lines:
        return {row["name"]: row["password"] for row in csv.DictReader(lines)}
