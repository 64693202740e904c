"""Refuses what a plugin declares wrongly, before anything is run with it. Each problem is one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from harness.audit.spec import InvariantSpec
from harness.plugins.plugin import FaultKind, Plugin, Section
from harness.registry.indicators import Indicator
from harness.registry.invariants import Invariant
from harness.sli.indicators import IndicatorSpec

NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KINDS: Final = {
    "indicators": IndicatorSpec,
    "invariants": InvariantSpec,
    "faults": FaultKind,
    "sections": Section,
}
_DECLARED: Final = {"indicators": Indicator, "invariants": Invariant}
_CALLED: Final = {
    "indicators": ("measure",),
    "invariants": ("checker",),
    "faults": ("prepare", "inject", "undo"),
    "sections": ("view",),
}
_SAID: Final = {"indicators": ("title", "unit", "to_do"), "invariants": ("title", "chance", "to_do")}


def problem(found: object) -> str:
    """Why the object of an entry point is no plugin, in words that follow its name; "" when it is one."""
    if not isinstance(found, Plugin):
        return f"is a {type(found).__name__}, expected a gatecrash.plugins.Plugin"
    return next(_problems(found), "")


def _problems(plugin: Plugin) -> Iterator[str]:
    for key, kind in _KINDS.items():
        members: object = getattr(plugin, key)
        if not isinstance(members, tuple):
            yield f"has {key} that are a {type(members).__name__}, expected a tuple"
            return
        for member in members:
            if not isinstance(member, kind):
                expected = kind.__name__.removesuffix("Spec")
                yield f"has a {type(member).__name__} among its {key}, expected gatecrash.plugins.{expected}"
                return
            yield from (f"has {key} with {what}" for what in _wrong(key, member))
        yield from _repeated(key, members)


def _wrong(key: str, member: IndicatorSpec | InvariantSpec | FaultKind | Section) -> Iterator[str]:
    """What is wrong with one member, without its place."""
    name: object = member.name
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"the name {name!r}, expected lower-case letters, digits and underscores"
        return
    for field in _CALLED[key]:
        if not callable(getattr(member, field)):
            yield f"a {field} of {name} that cannot be called"
    declared = _DECLARED.get(key)
    if declared is not None:
        try:
            msgspec.convert({one: getattr(member, one) for one in declared.__struct_fields__}, declared)
        except msgspec.ValidationError as error:
            yield f"{name} declared wrongly: {error}"
            return
    for field in _SAID.get(key, ()):
        if not str(getattr(member, field)).strip():
            yield f"{name} without its {field}"
    if isinstance(member, FaultKind):
        yield from _wrong_fault(member)


def _wrong_fault(fault: FaultKind) -> Iterator[str]:
    if fault.on not in ("proxy", "process"):
        yield f"{fault.name} on {fault.on!r}, expected proxy or process"
    if not (isinstance(fault.options, type) and issubclass(fault.options, msgspec.Struct)):
        yield f"options of {fault.name} that are no msgspec.Struct"


def _repeated(key: str, members: Sequence[IndicatorSpec | InvariantSpec | FaultKind | Section]) -> Iterator[str]:
    names = [member.name for member in members]
    yield from (f"has {key} with the name {name} twice" for name in dict.fromkeys(names) if names.count(name) > 1)
