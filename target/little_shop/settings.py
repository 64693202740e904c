"""What the shop is started with: the options of the command line, and two secrets from the environment."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

STANDING: Final = "standing"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
DEFAULT_SECRET: Final = "little-shop"  # noqa: S105 - for loopback only; the shop refuses it elsewhere


class Queue(StrEnum):
    """How customers wait before they may buy."""

    NONE = "none"
    POLLING = "polling"
    SSE = "sse"
    WEBSOCKET = "websocket"
    ROOM = "room"
    LOTTERY = "lottery"


class Plant(StrEnum):
    """A bug that is planted on purpose, to show that a rehearsal finds it. See `plants.py`."""

    OVERSELL = "oversell"
    DOUBLE_CHARGE = "double_charge"
    LOST_ORDER = "lost_order"
    PARTIAL = "partial"
    LEAKED_BASKET = "leaked_basket"
    WRONG_PRICE = "wrong_price"
    IGNORED_DRAW = "ignored_draw"


class SettingsError(Exception):
    """An option that cannot be used, in one line."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """See `_parser` for what each option means. `pools`: name → tickets on sale; `seats` 0: no seat map."""

    host: str = "127.0.0.1"
    port: int = 8000
    base_path: str = ""
    pools: dict[str, int] = {}
    seats: int = 0
    limit: int = 4
    basket_ttl_s: float = 60.0
    queue: Queue = Queue.NONE
    admit_per_s: float = 20.0
    draw_after_s: float = 3.0
    lots: int = 0
    room_url: str = ""
    payments_url: str = ""
    payment_timeout_s: float = 2.0
    database: str = ":memory:"
    login: str = ""
    plant: Plant | None = None
    operator_token: str = DEFAULT_SECRET
    room_secret: str = DEFAULT_SECRET


def read_settings(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """Raises `SettingsError`; a wrong command line ends the process with exit code 2, as argparse does it."""
    options = vars(_parser().parse_args(arguments))
    options["pools"] = _pools(options.pop("stock"))
    options["base_path"] = _base_path(options["base_path"])
    options["operator_token"] = environment.get("LITTLE_SHOP_TOKEN", DEFAULT_SECRET)
    options["room_secret"] = environment.get("LITTLE_SHOP_ROOM_SECRET", DEFAULT_SECRET)
    settings = Settings(**options)
    if settings.queue is Queue.ROOM and not settings.room_url:
        raise SettingsError("--queue room needs --room-url, where the waiting room listens")
    if settings.host not in LOOPBACK and DEFAULT_SECRET in (settings.operator_token, settings.room_secret):
        raise SettingsError("beyond loopback LITTLE_SHOP_TOKEN and LITTLE_SHOP_ROOM_SECRET must be set")
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m target.little_shop", description="A little ticket shop.")
    option = parser.add_argument
    option("--host", default="127.0.0.1")
    option("--port", type=int, default=8000)
    option("--base-path", default="", metavar="/PATH", help="where the shop begins, e.g. /onsale")
    option("--stock", default="50", metavar="N|NAME=N,…", help="tickets without a seat, of one pool or of several")
    option("--seats", type=int, nargs="?", const=60, default=0, metavar="N", help="also numbered seats (default: 60)")
    option("--limit", type=int, default=4, metavar="N", help="tickets for one customer")
    option("--basket-ttl", type=float, default=60.0, dest="basket_ttl_s", metavar="S", help="how long a basket lasts")
    option("--queue", type=Queue, choices=list(Queue), default=Queue.NONE, help="how customers wait")
    option("--admit-per-s", type=float, default=20.0, metavar="N", help="customers let in each second")
    option("--draw-after", type=float, default=3.0, dest="draw_after_s", metavar="S", help="when lots are drawn")
    option("--lots", type=int, default=0, metavar="N", help="how many are drawn; the others are told so (default: all)")
    option("--room-url", default="", metavar="URL", help="the third party's waiting room (python -m …little_shop.room)")
    option("--payments", default="", dest="payments_url", metavar="URL", help="the provider (…little_shop.provider)")
    option("--payment-timeout", type=float, default=2.0, dest="payment_timeout_s", metavar="S")
    option("--database", default=":memory:", metavar="FILE", help="an SQLite file; without it nothing is kept")
    option("--login", default="", metavar="FILE", help="only customers of this CSV may buy (columns name, password)")
    option("--plant", type=Plant, choices=list(Plant), default=None, help="a bug, to show that it is found")
    return parser


def _pools(stock: str) -> dict[str, int]:
    try:
        if "=" not in stock:
            return {STANDING: int(stock)}
        return {name: int(count) for name, count in (part.split("=") for part in stock.split(","))}
    except ValueError as error:
        raise SettingsError(f"--stock {stock}: a number, or NAME=NUMBER,NAME=NUMBER") from error


def _base_path(path: str) -> str:
    return f"/{path.strip('/')}" if path.strip("/") else ""
