"""A planned fault came into force or was healed: the conductor tells the live view so."""

from __future__ import annotations

import msgspec


class FaultChange(msgspec.Struct, frozen=True):
    """`t_s`: seconds from T0, as the canaries saw it, or as it was asked for where they have not seen it yet."""

    experiment: str
    in_force: bool
    t_s: float
