"""Seats and holds: the inventory in Redis in two ways, the seat map, and the stream of changes."""

from target.seats.hold_recovery import ATTEND_EVERY_S, Attendance, HoldRecovery
from target.seats.inventory import (
    KEEP_PENDING_S,
    HoldGoneError,
    HoldState,
    Inventory,
    PurchaseLimitError,
    SeatsTakenError,
)
from target.seats.lua import LuaSeats
from target.seats.routes import SEATS_MAX, SeatRoutes
from target.seats.seat_log import SeatLog
from target.seats.seat_map import SeatMap
from target.seats.seat_stream import SeatStream
from target.seats.store import SeatStore
from target.seats.venue import Venue, load
from target.seats.watch import WatchSeats

__all__ = [
    "ATTEND_EVERY_S",
    "KEEP_PENDING_S",
    "SEATS_MAX",
    "Attendance",
    "HoldGoneError",
    "HoldRecovery",
    "HoldState",
    "Inventory",
    "LuaSeats",
    "PurchaseLimitError",
    "SeatLog",
    "SeatMap",
    "SeatRoutes",
    "SeatStore",
    "SeatStream",
    "SeatsTakenError",
    "Venue",
    "WatchSeats",
    "load",
]
