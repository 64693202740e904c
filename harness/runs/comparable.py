"""Whether two runs can be compared: one scenario, on one platform and class of machine, by the same versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from harness.record.schema import RunDocument

_FREE: Final = ("seed", "description", "name")
"""Parts of a scenario that may differ."""
_MACHINE: Final = ("platform", "processors")
_OF_SOURCES: Final = "commit"
"""Runs of two commits are what people want to compare."""
_PLANTED: Final = "--plant-bug"
_NAMED_MOST: Final = 3


def why_not(base: RunDocument, run: RunDocument) -> str:
    """Why the two cannot be compared, in words; "" when they can."""
    if base.scenario_name != run.scenario_name:
        return f"it is a run of {base.scenario_name}"
    planted = planted_bug(base), planted_bug(run)
    if planted[0] != planted[1]:
        return "the bug that was planted differs"
    if base.stack != run.stack:
        return f"its stack is {base.stack}"
    changed = [
        key
        for key in sorted(base.scenario.keys() | run.scenario.keys())
        if key not in _FREE and _plain(base.scenario.get(key)) != _plain(run.scenario.get(key))
    ]
    if changed:
        return f"the scenario has changed since: {_few(changed)}"
    if machine := other_machine(base.versions, run.versions):
        return f"it ran on another class of machine ({_few(machine)})"
    versions = [
        key
        for key in sorted(base.versions.keys() | run.versions.keys())
        if key not in (*_MACHINE, _OF_SOURCES) and _differs(base, run, key)
    ]
    return f"other versions: {_few(versions)}" if versions else ""


def other_machine(base: Mapping[str, str], run: Mapping[str, str]) -> list[str]:
    """In what the classes of the two machines differ; each is told among the versions of a run."""
    return [key for key in _MACHINE if base.get(key) != run.get(key)]


def planted_bug(run: RunDocument) -> str:
    """The bug that was planted on purpose; "" for none."""
    command = list(run.command)
    for at, word in enumerate(command):
        if word == _PLANTED and at + 1 < len(command):
            return command[at + 1]
        if word.startswith(f"{_PLANTED}="):
            return word.partition("=")[2]
    return ""


def _differs(base: RunDocument, run: RunDocument, key: str) -> bool:
    return base.versions.get(key) != run.versions.get(key)


def _plain(value: object) -> object:
    """The value as a file would hold it."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED_MOST} more" if len(names) > _NAMED_MOST else ""
    return f"{', '.join(names[:_NAMED_MOST])}{more}"
