"""Groups the anomalies of a run: similar notes become one with a count, and a long list is cut. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from harness.record.schema import Anomaly

GROUPS_MAX: Final = 20
_TEXT_MAX: Final = 500  # characters
_VARYING: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-fA-F]{8,}\b|\b0x[0-9a-fA-F]+\b|\d+")


class Note(msgspec.Struct, frozen=True):
    """Notes of one source that differ only in numbers, quoted names and digests. `text`: that of the first."""

    source: str
    text: str
    count: int
    t_first_s: float | None
    is_death: bool

    @property
    def kind(self) -> str:
        """The text without what varies: the same for all notes of the group."""
        return _VARYING.sub("#", self.text)

    @property
    def sentence(self) -> str:
        """The text with the number of similar notes."""
        more = f" (and {self.count - 1:,} more like it)" if self.count > 1 else ""
        return f"{shortened(self.text)}{more}"


def grouped(anomalies: Iterable[Anomaly]) -> tuple[Note, ...]:
    """At most `GROUPS_MAX` groups in the order of their first notes; the last one counts the notes left out."""
    found: dict[tuple[str, bool, str], Note] = {}
    for one in anomalies:
        key = (one.source, one.is_death, _VARYING.sub("#", one.text))
        known = found.get(key)
        if known is None:
            found[key] = Note(one.source, one.text, 1, one.t_s, one.is_death)
        else:
            found[key] = msgspec.structs.replace(known, count=known.count + 1)
    notes = sorted(found.values(), key=lambda note: not note.is_death)  # deaths are never left out
    if len(notes) <= GROUPS_MAX:
        return tuple(found.values())
    kept, rest = notes[: GROUPS_MAX - 1], notes[GROUPS_MAX - 1 :]
    left_out = sum(note.count for note in rest)
    more = Note("run.json", f"{left_out:,} more notes of {len(rest):,} kinds", 1, None, is_death=False)
    return (*(note for note in found.values() if note in kept), more)


def few(parts: Sequence[str], most: int = 8, between: str = "; ") -> str:
    """The first texts in one line, and how many more there are."""
    more = [f"and {len(parts) - most:,} more"] if len(parts) > most else []
    return between.join([*parts[:most], *more])


def shortened(text: str) -> str:
    """The text, cut when it is too long to be read."""
    return text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]} …"
