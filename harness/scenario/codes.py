"""The access codes of a presale: a text file with a code a line. The platform lets in whoever shows one, once."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from harness.errors import InputError
from harness.input_file import is_file, read_input
from harness.scenario.own_checks import Complaint

FOR_THE_PROBE: Final = 1
"""So many codes are left for who tries the ways past the queue after the run."""
INVENTED: Final = "INVENTED"
"""The code of who has none, which no file may have."""
_BYTES_MAX: Final = 32 * 1024 * 1024
_CODE: Final = re.compile(r"[!-~]{1,64}\Z")


@lru_cache(maxsize=4)
def read_codes(path: str) -> tuple[str, ...]:
    """The codes of a file, in its order. Raises InputError: unreadable, no codes, a line that is no code, one twice.

    Upper and lower case are the same code, as people type them by hand.
    """
    lines: dict[str, int] = {}
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not (code := line.strip()):
            continue
        if not _CODE.match(code) or code.upper() == INVENTED:
            raise _wrong(path, f"line {number} is no code", f"at most 64 of A-Z, a-z, 0-9 and signs, not {INVENTED}")
        code = code.upper()
        before = lines.setdefault(code, number)
        if before != number:
            raise _wrong(path, f"lines {before} and {number} are the same code", "each code lets in one fan")
    if not lines:
        raise _wrong(path, "has no codes", "one code a line")
    return tuple(lines)


def check_codes(good: str, shown: str, people: int, error: Complaint) -> None:
    """Raises InputError unless both files are such, and there are enough codes for so many fans and bots.

    `good`: the codes that the platform knows; `shown`: those that people come with, "" for the first of the good ones.
    """
    known = _codes_of(good, "on_sale", error)
    theirs = _codes_of(shown, "load", error) if shown else known[: len(known) - FOR_THE_PROBE]
    good_ones = frozenset(known)
    if strange := [code for code in theirs if code not in good_ones]:
        more = f" and {len(strange) - 1:,} more are" if len(strange) > 1 else " is"
        text = f"{Path(shown).name}: {strange[0]}{more} not in {Path(good).name}, which the platform has"
        raise error(text, "load", "codes", hint="a fan with such a code is refused")
    if taken := frozenset(known[-FOR_THE_PROBE:]).intersection(theirs[:people]):
        text = f"{Path(shown).name}: {min(taken)} is the last code of {Path(good).name}, which is the probe's"
        raise error(text, "load", "codes", hint="leave it out, or add one more at the end of on_sale.codes")
    if len(theirs) < people:
        where = "load" if shown else "on_sale"
        text = f"{Path(shown or good).name} has codes for {len(theirs):,} of {people:,} fans and bots"
        hint = "add codes, or send fewer fans; the platform's last one is for the probe of the entrance"
        raise error(text, where, "codes", hint=hint)


def _codes_of(path: str, section: str, error: Complaint) -> tuple[str, ...]:
    try:
        return read_codes(path)
    except InputError as problem:
        raise error(problem.message, section, "codes", hint=problem.hint or "") from None


def _text(path: str) -> str:
    if not is_file(Path(path)):
        raise _wrong(path, "is no file", f"its path is relative to {Path(path).parent}")
    try:
        return read_input(Path(path), _BYTES_MAX).decode("utf-8-sig")
    except InputError as problem:
        raise _wrong(path, problem.message, problem.hint) from None
    except UnicodeDecodeError:
        raise _wrong(path, "is no text in UTF-8") from None


def _wrong(path: str, text: str, hint: str = "") -> InputError:
    return InputError(f"{Path(path).name} {text}", hint=hint)
