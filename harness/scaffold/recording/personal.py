"""What a customer typed about themselves. It is never copied: it becomes a field of the fan or a setting."""

from __future__ import annotations

import re
from typing import Final

import msgspec

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CARD_DIGITS: Final = re.compile(r"(?:\d[ -]?){12,18}\d")


class Personal(msgspec.Struct, frozen=True):
    """How a field is filled. `code`: the Python expression; `setting`: its name in the settings, "" for none;
    `example`: its value there, made up."""

    code: str
    setting: str = ""
    example: str = ""


_CARD: Final = Personal("card", "card", "4242424242424242")
_EMAIL_FIELD: Final = Personal("self.email")
PASSWORD: Final = Personal('self.account["password"]')
LOGIN: Final = Personal('self.account["name"]')
_KINDS: Final = (
    (r"e-?mail", _EMAIL_FIELD),
    (r"pass(?:word|wd|phrase)?$|pwd|passwort", PASSWORD),
    (r"card-?_?(?:number|num|no)?$|cc-?_?(?:number|num|no)|pan$|cardnumber|kartennummer|iban", _CARD),
    (r"cv[cv]2?|csc|security-?_?code", Personal("", "card_code", "123")),
    (r"exp(?:iry|iration)?-?_?(?:month|mm)", Personal("", "card_month", "12")),
    (r"exp(?:iry|iration)?-?_?(?:year|yy)", Personal("", "card_year", "2030")),
    (r"exp(?:iry|iration|_?date)?$|cc-exp", Personal("", "card_expiry", "12/30")),
    (r"(?:first|given|fore)-?_?name|vorname|prenom", Personal("", "first_name", "Test")),
    (r"(?:last|family|sur)-?_?name|nachname|nom$", Personal("", "last_name", "Fan")),
    (r"phone|tel$|mobile|telefon", Personal("", "phone", "+15550100")),
    (r"birth|dob|geburt", Personal("", "birthday", "1990-01-01")),
    (r"zip|post-?_?(?:al)?-?_?code|plz", Personal("", "postcode", "12345")),
    (r"street|address|line_?\d|strasse", Personal("", "street", "Test Street 1")),
    (r"city|town|ort$", Personal("", "city", "Test Town")),
    (r"country|state|province|region", Personal("", "country", "US")),
    (r"name|holder|company|organi[sz]ation", Personal("", "name", "Test Fan")),
)


def personal(name: str, value: str, *, autocomplete: str = "", kind: str = "") -> Personal | None:
    """What a field is, by its value, its browser hints and its name; null: nothing of a person's."""
    if kind == "password":
        return PASSWORD
    if kind == "email" or _EMAIL.fullmatch(value.strip()):
        return _EMAIL_FIELD
    if _is_card(value):
        return _CARD
    hint = autocomplete.strip().lower().split(" ")[-1]
    for words in (hint, name.lower()):
        for pattern, found in _KINDS if words and words not in ("on", "off") else ():
            if re.search(pattern, words.rsplit("[", 1)[-1].rstrip("]") if "[" in words else words):
                return (
                    found if found.code else Personal(f'self.settings["{found.setting}"]', found.setting, found.example)
                )
    return None


def _is_card(value: str) -> bool:
    """By its check digit (ISO/IEC 7812-1)."""
    if not _CARD_DIGITS.fullmatch(value.strip()):
        return False
    digits = [int(digit) for digit in value if digit.isdigit()][::-1]
    return sum(digits[::2]) % 10 == -sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2]) % 10


def typed(setting: str) -> Personal:
    """Free text of another kind: a setting of its own."""
    return Personal(f'self.settings["{setting}"]', setting, "TODO")


def setting_name(name: str) -> str:
    """A field's name as that of a setting."""
    return re.sub(r"\W+", "_", name).strip("_").lower()[:40] or "value"
