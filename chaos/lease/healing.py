"""Undoes the faults that are in force by a journal: for the reaper, for `gatecrash chaos heal`, for any next command.

It is safe to do twice, bounded in time, and touches only what a journal owns.
"""

from __future__ import annotations

import contextlib
import ipaddress
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from chaos.faults import Inverse
from chaos.faults.disable import Enable
from chaos.faults.tools import ChangedHands, Gone, Tools
from chaos.faults.toxic import RemoveToxic
from chaos.injectors.process import is_listening
from chaos.lease import lease, state
from chaos.lease.lease import Intended, Undone
from harness.errors import GatecrashError, InputError

HEAL_WITHIN_S: Final = 10.0
_PAUSE_S: Final = 0.2
_GONE_AFTER_S: Final = 1.0


class InForce(msgspec.Struct, frozen=True):
    """A fault that may be in force. `kept`: its keeper (the process that injected it) lives and will heal it."""

    journal: str
    experiment: str
    undo: str
    since_wall_s: float
    keeper_pid: int
    kept: bool
    run: str


class HealResult(msgspec.Struct, frozen=True):
    """The result for one fault. `healed` false: it may still be in force, and `how` says why."""

    experiment: str
    undo: str
    healed: bool
    how: str = ""


def in_force() -> tuple[InForce, ...]:
    """Every fault of every journal that may be in force. Raises InputError."""
    found = []
    for path in state.journals():
        with contextlib.suppress(FileNotFoundError):
            journal = lease.read(path)
            keeper, run = journal.opened.keeper, journal.opened.run
            found += [
                InForce(path.stem, one.experiment, one.inverse.what, one.t_wall_s, keeper.pid, keeper.alive, run)
                for one in journal.pending
            ]
    return tuple(found)


def heal_all(by: str, *, kept_too: bool = False, within_s: float = HEAL_WITHIN_S) -> tuple[HealResult, ...]:
    """Heal the faults of dead keepers, and those of living keepers only when that is asked for. Raises InputError."""
    outcomes: list[HealResult] = []
    for path in state.journals():
        with contextlib.suppress(FileNotFoundError):
            if kept_too or not lease.read(path).opened.keeper.alive:
                outcomes += heal(path, by, within_s)
    return tuple(outcomes)


def heal(path: Path, by: str, within_s: float = HEAL_WITHIN_S, *, given_up: bool = False) -> tuple[HealResult, ...]:
    """Heal one journal, the last fault first; it is removed when nothing is left and nobody keeps it any more.

    `given_up`: the caller knows that the keeper is dead; else its process is looked for, which may seem alive for a
    moment after it closed its pipes. Raises FileNotFoundError when the journal was closed, InputError.
    """
    with lease.healing(path, within_s) as ours:
        if not ours:
            return tuple(HealResult(one.experiment, one.inverse.what, healed=False, how="another heals it")
                         for one in lease.read(path).pending)  # fmt: skip
        journal = lease.read(path)
        outcomes = _undo_all(path, journal.pending[::-1], by, time.monotonic() + within_s)
        if all(outcome.healed for outcome in outcomes) and (given_up or not journal.opened.keeper.alive):
            path.unlink(missing_ok=True)
        return outcomes


def _undo_all(path: Path, entries: Sequence[Intended], by: str, deadline_s: float) -> tuple[HealResult, ...]:
    """Undo each in turn, again and again, so that a failing one does not keep the others waiting."""
    tools, done = Tools(), dict[int, HealResult]()
    began_s = time.monotonic()
    while True:
        for entry in entries:
            if entry.number not in done or not done[entry.number].healed:
                done[entry.number] = outcome = _undo(entry, tools, time.monotonic() - began_s)
                if outcome.healed:
                    lease.append(path, Undone(entry.number, by, outcome.how))
        if all(outcome.healed for outcome in done.values()) or time.monotonic() > deadline_s:
            return tuple(done[entry.number] for entry in entries)
        time.sleep(_PAUSE_S)


def _undo(entry: Intended, tools: Tools, tried_for_s: float) -> HealResult:
    what = entry.inverse.what
    try:
        entry.inverse.undo(tools)
    except (Gone, ChangedHands) as reason:
        return HealResult(entry.experiment, what, healed=True, how=f"left alone: {reason}")
    except InputError:
        raise
    except GatecrashError as problem:
        if tried_for_s >= _GONE_AFTER_S and _server_is_gone(entry.inverse):
            return HealResult(entry.experiment, what, healed=True, how="left alone: that fault proxy is gone")
        return HealResult(entry.experiment, what, healed=False, how=str(problem))
    return HealResult(entry.experiment, what, healed=True)


def _server_is_gone(inverse: Inverse) -> bool:
    """Whether the fault proxy is gone from this machine, and with it the faults that it kept in memory."""
    if not isinstance(inverse, Enable | RemoveToxic):
        return False
    url = urlsplit(inverse.url)
    host = url.hostname or ""
    with contextlib.suppress(ValueError):
        if not ipaddress.ip_address(host).is_loopback:
            return False
    return (host == "localhost" or host[:1].isdigit() or ":" in host) and not is_listening(f"{host}:{url.port}")
