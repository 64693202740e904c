"""Journeys that crashed, counted by the place in the code at which they did.

A journey or an adapter that crashes for each fan in another way (a name, a number in its message) crashes at one place.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from harness.record.schema import CrashSummary
from harness.scenario.environment import redacted

PLACES_MAX: Final = 100  # of one worker; crashes elsewhere are counted together
_OURS: Final = Path(__file__).resolve().parents[2]
_WORDS_MAX: Final = 300
_ELSEWHERE: Final = "other places"


class CrashLog:
    """The crashes of one worker process. `secrets`: values that no text may hold."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets
        self._found: dict[tuple[str, str, str], CrashSummary] = {}

    def note(self, error: BaseException, *, kind: str, step: str) -> None:
        """A user of that kind crashed in that step of their journey. An error may say `where` it comes from itself."""
        where = getattr(error, "where", "") or place_of(error.__traceback__)
        key = (kind, where, type(error).__name__)
        if key not in self._found and len(self._found) >= PLACES_MAX:
            key = (kind, _ELSEWHERE, "")
        known = self._found.get(key)
        if known is None:
            words = _one_line(redacted(f"{type(error).__name__}: {error}", self._secrets))
            known = CrashSummary(where=key[1], what=words, kind=kind, step=step, count=0)
        self._found[key] = msgspec.structs.replace(known, count=known.count + 1)

    def summary(self) -> tuple[CrashSummary, ...]:
        """One entry for each place, the most frequent first."""
        return merged([tuple(self._found.values())])


def merged(workers: Iterable[tuple[CrashSummary, ...]]) -> tuple[CrashSummary, ...]:
    """The crashes of several workers, equal places counted together, the most frequent first."""
    found: dict[tuple[str, str, str], CrashSummary] = {}
    for crashes in workers:
        for crash in crashes:
            key = (crash.kind, crash.where, crash.what.partition(":")[0])
            known = found.get(key)
            count = crash.count + (known.count if known else 0)
            found[key] = msgspec.structs.replace(known or crash, count=count)
    return tuple(sorted(found.values(), key=lambda crash: (-crash.count, crash.where, crash.what)))


def place_of(trace: TracebackType | None) -> str:
    """FILE:LINE of the innermost frame in an adapter or a journey; of the innermost of all where there is none."""
    innermost = traceback.extract_tb(trace)[-1:]
    return authors_place(trace) or "".join(shown_place(frame.filename, frame.lineno) for frame in innermost)


def authors_place(trace: TracebackType | None) -> str:
    """FILE:LINE of the innermost frame in an adapter or a journey; "" where there is none."""
    authors = [frame for frame in traceback.extract_tb(trace) if _is_an_authors(Path(frame.filename))]
    return "".join(shown_place(frame.filename, frame.lineno) for frame in authors[-1:])


def shown_place(file: str, line: int | None) -> str:
    """FILE:LINE, relative to the working directory where it lies below."""
    return f"{_shown(Path(file))}:{line}"


def _is_an_authors(path: Path) -> bool:
    """Neither the harness's own, nor an installed package's, nor the standard library's."""
    parts = path.parts
    library = "site-packages" in parts or any(part.startswith("python3") for part in parts)
    return path.is_absolute() and not library and not path.is_relative_to(_OURS)


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _one_line(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _WORDS_MAX else f"{words[: _WORDS_MAX - 1]}…"
