"""Recomputes a published draw: the platform committed to its seed before the opening, and the line follows from it.

What a platform must publish for this (see `target/queue/draw.py`): before the opening the SHA-256 of a seed, after it
the seed and the hashes of the names of all who are in the draw. The place of an entry is the number that it draws:

    entry = hex sha256(fan);  number = the first 13 hex digits of sha256(seed + ":" + entry);  the smallest is first
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

from harness.audit.history import Evidence
from harness.audit.operations import DrawValue, Operation
from harness.audit.tally import Tally, at_rest, during
from harness.errors import InputError

NO_DRAW: Final = "lots are drawn among the fans, and the platform does not publish how they were drawn"
_HEX_DIGITS: Final = 13
_STAMP_S: Final = 0.05  # how far the wall clock's T0 and the platform's own clock may be apart on one machine


@dataclass(frozen=True, slots=True)
class PublishedDraw:
    """The draw as it was published. `opens_s`: when the sale opened; `entries`: the hashes of the names in it."""

    seed: str
    opens_s: float
    entries: frozenset[str]

    def number_of(self, fan: str) -> int:
        """What the fan draws."""
        return int(_hash(f"{self.seed}:{_hash(fan)}")[:_HEX_DIGITS], 16)

    def has(self, fan: str) -> bool:
        """Whether the fan is in the draw."""
        return _hash(fan) in self.entries


def published_draw(evidence: Evidence, tally: Tally) -> PublishedDraw | None:
    """The draw, with every breach of its rules in the tally; null where too little was published to recompute it."""
    looks = list(evidence.draws.ok)
    if not looks:
        tally.undecided, tally.note = True, "nobody saw what is published of the draw"
        return None
    opens_s = looks[-1].value.opens_at - _t0_unix_s(evidence)
    before = [look for look in looks if look.t_end_s < opens_s - _STAMP_S]
    told = next((look for look in reversed(looks) if look.value.seed), None)
    for early in before:
        if early.value.seed:
            tally.violated("the seed of the draw was shown before the opening", during(early, _shown(early)))
            break
    for first, other in itertools.pairwise(looks):
        if first.value.commitment != other.value.commitment:
            summary = "the commitment to the seed of the draw was changed"
            tally.violated(summary, during(first, _shown(first)), during(other, _shown(other)))
            break
    if not before or told is None or told.value.seed is None:
        tally.undecided = True
        tally.note = (
            "nobody saw the commitment before the opening" if told else "the seed of the draw was not published"
        )
        return None
    seed = told.value.seed
    if _hash(seed) != before[0].value.commitment:
        summary = "the seed of the draw is not the one that was committed to before the opening"
        tally.violated(summary, during(before[0], _shown(before[0])), during(told, _shown(told)))
    _published_order(told, PublishedDraw(seed, opens_s, frozenset(told.value.entries)), tally)
    return PublishedDraw(seed, opens_s, frozenset(told.value.entries))


def participants(evidence: Evidence, draw: PublishedDraw, tally: Tally) -> None:
    """Checks that the draw has every fan who joined before the opening, and no fan who joined after it."""
    margin_s = evidence.clock_margin_s + _STAMP_S
    first_s = evidence.joins.first_invoked_s
    for join in evidence.joins.ok:
        fan = join.actor
        if join.value.ticket or join.value.parked:
            continue
        if join.t_end_s < draw.opens_s - margin_s and not draw.has(fan):
            told = during(
                join, f"{fan} was told the queue has them, {draw.opens_s - join.t_end_s:.3f} s before the opening"
            )
            tally.violated(f"{fan} was left out of the draw", told, at_rest("published draw", f"no entry of {fan}"))
        elif first_s[fan] > draw.opens_s + margin_s and draw.has(fan):
            asked = during(join, f"{fan} joined {first_s[fan] - draw.opens_s:.3f} s after the opening")
            tally.violated(f"{fan} got into the draw after the opening", asked, at_rest("published draw", f"has {fan}"))


def _published_order(told: Operation[DrawValue], draw: PublishedDraw, tally: Tally) -> None:
    """The entries are published in the order of the numbers that they draw."""
    numbers = [int(_hash(f"{draw.seed}:{entry}")[:_HEX_DIGITS], 16) for entry in told.value.entries]
    for at, (one, other) in enumerate(itertools.pairwise(numbers)):
        if one > other:
            summary = (
                f"the published line is not the drawn one: place {at + 1} draws a later number than place {at + 2}"
            )
            tally.violated(summary, during(told, _shown(told)))
            return


def _shown(look: Operation[DrawValue]) -> str:
    value = look.value
    seed = f"seed {value.seed}, {len(value.entries)} entries" if value.seed else "no seed"
    return f"{look.actor} was shown the commitment {value.commitment[:16]}… and {seed}"


def _t0_unix_s(evidence: Evidence) -> float:
    try:
        return datetime.fromisoformat(evidence.run.t0 or "").timestamp()
    except ValueError as problem:
        raise InputError(f"is no instant: {problem}", file="run.json", key="t0") from problem


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
