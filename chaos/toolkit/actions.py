"""The actions for an ordinary `chaos run`. Arguments and results are plain data, because they go into its journal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from chaos.lease.lease import LEASE_S
from chaos.toolkit import definition
from chaos.toolkit.broken import BROKEN, Drilled, Injected, NotBegun
from chaos.toolkit.platform import DEFAULT, read
from harness.errors import GatecrashError, InputError
from harness.record.schema import FaultRun

_TOLD: Final = ("t_requested_s", "t_effective_s", "t_heal_requested_s", "t_healed_s", "proven", "measured", "error")


def inject(
    experiment: str | Mapping[str, object],
    platform: str = DEFAULT,
    length_s: float | None = None,
    lease_s: float = LEASE_S,
) -> dict[str, object]:
    """Break what an experiment breaks: its name, a file, or its definition as plain data.

    Returns when it is broken. It is healed by `heal`, after `length_s` (else the experiment's own), when one of its
    guards breaks, when the kill switch is set, and by our reaper when this process dies, or hangs for `lease_s`.
    `platform`: see chaos.toolkit.platform. Raises GatecrashError when it was not injected; `proven` says so again.
    """
    wanted = definition.load(experiment)
    _refuse_twice(wanted.name)
    BROKEN[wanted.name] = NotBegun("it was not injected")
    try:
        begun = Injected(wanted, read(platform), length_s, lease_s)
        begun.begin()
    except GatecrashError as problem:
        BROKEN[wanted.name] = NotBegun(str(problem))
        raise
    BROKEN[wanted.name] = begun
    return _told(begun.run)


def heal(experiment: str) -> dict[str, object]:
    """Undo an experiment and wait until that is seen; safe to do twice and for one that was never injected.

    Raises GatecrashError when it may still be in force.
    """
    found = BROKEN.get(experiment)
    return _told(found.heal()) if isinstance(found, Injected) else {}


def drill(experiment: str | Mapping[str, object], out: str = "runs") -> dict[str, object]:
    """A whole `gatecrash drill` on a stack of its own; returns its verdict. Raises GatecrashError when it has none."""
    wanted = definition.load(experiment)
    _refuse_twice(wanted.name)
    BROKEN[wanted.name] = NotBegun("the drill did not end")
    try:
        done = BROKEN[wanted.name] = Drilled.run(wanted, Path(out))
    except GatecrashError as problem:
        BROKEN[wanted.name] = NotBegun(str(problem))
        raise
    answer = done.verdict
    return {"verdict": answer.verdict, "grade": answer.grade, "reason": answer.reason, "run_id": answer.run_id}


def _refuse_twice(name: str) -> None:
    if name in BROKEN:
        raise InputError(f"{name} was injected in this run already", hint="give the second one a name of its own")


def _told(run: FaultRun) -> dict[str, object]:
    whole = msgspec.convert(msgspec.to_builtins(run), dict[str, object])
    return {key: whole[key] for key in _TOLD}
