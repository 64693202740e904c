"""What authors of journeys import: `from gatecrash.journeys import …` is this module.

In an installed wheel this file is `gatecrash/journeys.py`; in a checkout `harness.swarm.users.loader` offers it.
"""

from __future__ import annotations

from harness.platform import Answer, Call, FanSession, Hold, Order, Person, StockSession
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.user import DONE, Pace, RehearsalUser
from scenarios.fan import GAVE_UP, LEFT, FanUser, OutOfPatienceError, Visit

__all__ = [
    "DONE",
    "GAVE_UP",
    "LEFT",
    "Answer",
    "Call",
    "FanSession",
    "FanUser",
    "Hold",
    "Order",
    "OutOfPatienceError",
    "Pace",
    "Person",
    "RehearsalUser",
    "ReleaseInstant",
    "StockSession",
    "Visit",
]
