"""Breaks one behaviour of the reference booking system: Python loads this before anything else where it is on the path.

GATECRASH_MUTANT names what is broken; GATECRASH_MUTANT_STATE is a directory that all processes of a run share.
"""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType


def breaker_never_opens(breakers: ModuleType) -> None:
    """Every call is tried, however often the one before failed."""
    breakers.BreakerCore.fail = lambda self, now_s: None


def lag_is_never_seen(replica_lag: ModuleType) -> None:
    """The replica counts as near, whatever it says."""

    async def measure(self: object) -> float:
        return 0.0

    replica_lag.ReplicaLag.measure = measure


def lag_never_ends(replica_lag: ModuleType) -> None:
    """A replica that was behind once stays so."""
    measured, worst_s = replica_lag.ReplicaLag.measure, [0.0]

    async def measure(self: object) -> float:
        worst_s[0] = max(worst_s[0], await measured(self) or 0.0)
        return worst_s[0]

    replica_lag.ReplicaLag.measure = measure


def replay_skips(feed_socket: ModuleType) -> None:
    """Who comes back to the feed is taken to have seen three changes more than they did."""
    opened = feed_socket.FeedSocket.__init__

    def init(self: object, transport: object, epoch: str, last_seq: int | None) -> None:
        opened(self, transport, epoch, None if last_seq is None else last_seq + 3)

    feed_socket.FeedSocket.__init__ = init


def holds_are_chatty(inventory: ModuleType) -> None:
    """A hold asks Redis eighty times: nobody notices until each takes 50 ms and more."""
    held = inventory.Inventory.hold

    async def hold(self: object, *arguments: object, **more: object) -> object:
        for _ in range(80):
            await self._redis.command("PING")  # type: ignore[attr-defined]
        return await held(self, *arguments, **more)

    inventory.Inventory.hold = hold


def restart_is_slow(inventory: ModuleType) -> None:
    """A node that was started again takes 4 s for a hold in its first 15 s. Each node leads its own process group."""
    first = Path(os.environ["GATECRASH_MUTANT_STATE"]) / os.environ.get("TARGET_LISTEN", "none").replace(":", "_")
    if not first.exists():
        first.write_text(str(os.getpgid(0)))
    if first.read_text() == str(os.getpgid(0)):
        return
    held, started_s = inventory.Inventory.hold, time.monotonic()

    async def hold(self: object, *arguments: object, **more: object) -> object:
        if time.monotonic() - started_s < 15:
            await asyncio.sleep(4)
        return await held(self, *arguments, **more)

    inventory.Inventory.hold = hold


MUTANTS: dict[str, tuple[str, Callable[[ModuleType], None]]] = {
    "breaker_never_opens": ("target.runtime.breakers", breaker_never_opens),
    "lag_is_never_seen": ("target.storage.replica_lag", lag_is_never_seen),
    "lag_never_ends": ("target.storage.replica_lag", lag_never_ends),
    "replay_skips": ("target.feed.socket", replay_skips),
    "holds_are_chatty": ("target.seats.inventory", holds_are_chatty),
    "restart_is_slow": ("target.seats.inventory", restart_is_slow),
}


class Mutator(importlib.abc.MetaPathFinder):
    """Changes one module as soon as it was loaded."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._change = change

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def and_change(module: ModuleType) -> None:
            execute(module)
            self._change(module)

        spec.loader.exec_module = and_change  # type: ignore[method-assign]
        return spec


if wanted := os.environ.get("GATECRASH_MUTANT"):
    sys.meta_path.insert(0, Mutator(*MUTANTS[wanted]))
