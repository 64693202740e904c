"""The waiting room: joining, the draw, positions, bots, and the admission of fans."""

from target.queue.admission import AdmissionController
from target.queue.entrance import Entrance, entrance
from target.queue.position_streams import StreamHub
from target.queue.rate_policy import RatePolicy, fastest_per_s, policy_of
from target.queue.routes import QueueRoutes
from target.queue.rules import rules_of
from target.queue.signals import ConflictSignal, SaleSignal
from target.queue.waiting_room import WaitingRoom

__all__ = [
    "AdmissionController",
    "ConflictSignal",
    "Entrance",
    "QueueRoutes",
    "RatePolicy",
    "SaleSignal",
    "StreamHub",
    "WaitingRoom",
    "entrance",
    "fastest_per_s",
    "policy_of",
    "rules_of",
]
