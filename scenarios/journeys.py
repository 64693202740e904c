"""What authors of journeys import: `from gatecrash.journeys import …` is this module.

In an installed wheel this file is `gatecrash/journeys.py`; in a checkout `harness.swarm.users.loader` offers it.
"""

from __future__ import annotations

from harness.platform import Answer, Call, FanSession, Hold, Order, Person, Platform, SpectatorSession, StockSession
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.users.barrier import Barrier
from harness.swarm.users.plan import ProbePlan
from harness.swarm.users.user import DONE, Pace, RehearsalUser
from scenarios.bot import BotUser
from scenarios.fan import GAVE_UP, LEFT, FanUser, OutOfPatienceError, Visit
from scenarios.lurker import LurkerUser
from scenarios.probe import Probe
from scenarios.spectator import SpectatorUser

__all__ = [
    "DONE",
    "GAVE_UP",
    "LEFT",
    "Answer",
    "Barrier",
    "BotUser",
    "Call",
    "FanSession",
    "FanUser",
    "Hold",
    "LurkerUser",
    "Order",
    "OutOfPatienceError",
    "Pace",
    "Person",
    "Platform",
    "Probe",
    "ProbePlan",
    "RehearsalUser",
    "ReleaseInstant",
    "SpectatorSession",
    "SpectatorUser",
    "StockSession",
    "Visit",
]
