"""One fault, one short file: what is broken, by which injector, and how it is undone."""

from __future__ import annotations

from typing import TypeAlias

from chaos.experiment import AddToxic, Disable, Fault
from chaos.faults import disable, drop, toxic
from chaos.injectors.toxiproxy import Toxiproxy

Inverse: TypeAlias = disable.Enable | toxic.RemoveToxic
"""Plain data, known before anything is broken: whoever has it can heal."""


def inverse_of(fault: Fault, name: str) -> Inverse:
    """What undoes this fault; `name` is unique to it."""
    match fault:
        case Disable():
            return disable.inverse(fault)
        case AddToxic():
            return toxic.inverse(fault, name)
        case _:
            return drop.inverse(fault)


def inject(fault: Fault, name: str, server: Toxiproxy) -> dict[str, float]:
    """Break it; returns what was measured on the way. Raises ToxiproxyProblem."""
    match fault:
        case Disable():
            return disable.inject(fault, server)
        case AddToxic():
            return toxic.inject(fault, name, server)
        case _:
            return drop.inject(fault, server)
