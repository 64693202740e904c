"""drop: a share of the open connections is cut at one instant. They stay cut; clients connect again."""

from __future__ import annotations

from chaos.faults.tools import Tools
from chaos.faults.toxic import RemoveToxic, removal
from chaos.injectors.toxiproxy import RESET_TOXIC
from chaos.specification.fault import Drop


def inverse(fault: Drop, tools: Tools) -> RemoveToxic:
    """The inverse of a drop: none, unless a real Toxiproxy drops connections with a toxic."""
    return removal(fault.proxy, RESET_TOXIC, "reset_peer", tools)


def inject(fault: Drop, tools: Tools) -> dict[str, float]:
    """Drop connections. Returns how many were open and dropped. A toxic makes the drop inexact: see the injector."""
    result = tools.server.drop(fault.proxy, fault.percent, fault.mode)
    measured = {"drops": 1.0, "drops_exact": float(result.exact)}
    if result.open is not None and result.dropped is not None:
        measured |= {"open_before": float(result.open), "dropped": float(result.dropped)}
    return measured
