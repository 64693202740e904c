"""The schools of holds by the name that the setting `holds` gives them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from target.holds_lua import LuaSeats
from target.holds_watch import WatchSeats
from target.keys import Keys
from target.redis_store import RedisStore
from target.seat_store import SeatStore

SCHOOLS: Final[Mapping[str, Callable[[RedisStore, Keys], SeatStore]]] = {"lua": LuaSeats, "watch": WatchSeats}
