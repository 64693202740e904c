"""When the sale opens, and the rules of an on-sale as settings of the booking system's processes."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from harness.scenario import OnSale

_OURS: Final = ("pre_queue_s", "opens_after_s", "hold_late_max_s", "booking_processes", "niceness")
"""What the booking system is not told: it knows the instant of the opening, keeps this bound by itself, is started so
often, and as one that stands back so far."""


def opens_at_s(on_sale: OnSale) -> float:
    """Unix s of the opening for a stack that is asked for now; 0: it is open from the start."""
    return time.time() + on_sale.opens_after_s if on_sale.pre_queue_s else 0.0


def target_settings(on_sale: OnSale, opens_at_s: float) -> dict[str, str]:
    """`TARGET_*` of what the on-sale says."""
    rules = {name: value for name, value in msgspec.to_builtins(on_sale).items() if name not in _OURS}
    settings = {f"TARGET_{name.upper()}": str(value) for name, value in rules.items()}
    return {**settings, "TARGET_OPENS_AT_S": f"{opens_at_s:.6f}"}
