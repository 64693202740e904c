"""drop: a share of the connections that are open is cut, at one instant. What is cut stays cut; clients come back."""

from __future__ import annotations

from chaos.faults.tools import Tools
from chaos.faults.toxic import RemoveToxic, removal
from chaos.injectors.toxiproxy import RESET_TOXIC
from chaos.specification.fault import Drop


def inverse(fault: Drop, tools: Tools) -> RemoveToxic:
    """Nothing of a drop remains, unless a real Toxiproxy had to do it by a toxic."""
    return removal(fault.proxy, RESET_TOXIC, "reset_peer", tools)


def inject(fault: Drop, tools: Tools) -> dict[str, float]:
    """Do it. Returns how many were open and dropped. A drop that is not exact was done by a toxic: see the injector."""
    result = tools.server.drop(fault.proxy, fault.percent, fault.mode)
    measured = {"drops": 1.0, "drops_exact": float(result.exact)}
    if result.open is not None and result.dropped is not None:
        measured |= {"open_before": float(result.open), "dropped": float(result.dropped)}
    return measured
