"""The owner of a stack: the process that raised it, and whether that process is surely dead. Touches nothing."""

from __future__ import annotations

import os
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from harness.input_file import NOT_JSON
from harness.processes.identity import Identity, Sight

_NAMESPACES: Final = ("pid", "time")  # a process has another number in another one, and another start in the other


class Fate(StrEnum):
    """`KEPT`: its owner lives. `ORPHANED`: its owner surely ended. `UNSURE`: nobody can tell from here."""

    KEPT = "kept"
    ORPHANED = "orphaned"
    UNSURE = "unsure"


class StackOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process, and from where it can be seen: `namespaces` as the kernel numbers them, "" where it has none."""

    process: Identity
    namespaces: str
    uid: int

    @classmethod
    def own(cls) -> StackOwner:
        """This process."""
        return cls(Identity.own(), " ".join(map(_namespace, _NAMESPACES)), os.getuid())


def owner_of(text: str) -> StackOwner | None:
    """What was written of an owner as JSON; None when it cannot be understood."""
    try:
        return msgspec.json.decode(text, type=StackOwner)
    except NOT_JSON:
        return None


def fate(owners: Collection[StackOwner | None], here: StackOwner) -> tuple[Fate, str]:
    """Whether a stack whose parts name these owners may be removed, as seen by `here`; and why not, if unsure."""
    owner = next(iter(owners), None)
    if owner is None or any(other != owner for other in owners):
        return Fate.UNSURE, "its parts do not all say who raised them"
    if not here.process.boot or owner.process.boot != here.process.boot:
        return Fate.UNSURE, "it was raised on another machine, or before this one was started"
    if owner.namespaces != here.namespaces:
        return Fate.UNSURE, "it was raised in another container than this"
    pid, sight = owner.process.pid, owner.process.sight
    if sight is Sight.LIVES:
        return Fate.KEPT, ""
    if sight is Sight.HIDDEN:
        return Fate.UNSURE, f"whether process {pid} still keeps it cannot be seen"
    if owner.uid != here.uid:
        return Fate.UNSURE, f"process {pid} of another user (uid {owner.uid}) raised it, and is gone"
    return Fate.ORPHANED, ""


def _namespace(kind: str) -> str:
    try:
        return str(Path(f"/proc/self/ns/{kind}").readlink())
    except OSError:
        return ""
