"""The rules of a waiting room: its opening, its draw, and how long it keeps a place and an admission."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from target.queue.draw import Draw, draw_of

if TYPE_CHECKING:
    from target.settings import Settings


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules of one event's queue. `opens_at_us` 0: open from the start. `draw` null: first come, first served.

    `places_per_identity` 1: a second fan of the same identity gets no place; 0: each fan gets one.
    """

    opens_at_us: int = 0
    draw: Draw | None = None
    place_grace_s: float = 60.0
    admission_valid_s: float = 600.0
    places_per_identity: int = 0

    @property
    def opens_at_s(self) -> float:
        """Unix s."""
        return self.opens_at_us / 1e6


def rules_of(settings: Settings) -> Rules:
    """The rules that the settings of one event ask for."""
    opens_at_us = round(settings.opens_at_s * 1e6)
    drawn = settings.queue_policy == "shuffle" and opens_at_us > 0
    return Rules(
        opens_at_us=opens_at_us,
        draw=draw_of(settings.secret, settings.event, opens_at_us) if drawn else None,
        place_grace_s=settings.place_grace_s,
        admission_valid_s=settings.admission_valid_s,
        places_per_identity=settings.places_per_identity,
    )
