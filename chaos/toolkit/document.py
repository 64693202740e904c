"""The part of Chaos Toolkit's file format that we write and read, as frozen types."""

from __future__ import annotations

import importlib.util
from typing import Final, Literal

import msgspec

OURS: Final = ("chaos.toolkit", "gatecrash.chaostoolkit")
"""The names of our module: in a checkout (on PYTHONPATH), and in an installed wheel."""


def our_module() -> str:
    """The name of the module that `chaos run` can import here."""
    return OURS[1] if importlib.util.find_spec("gatecrash") else OURS[0]


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Base of the parts."""


class Provider(_Part, frozen=True, kw_only=True, tag_field="type", tag="python"):
    """A function and its arguments. We do not support providers of type process and http."""

    module: str
    func: str
    arguments: dict[str, object] = {}

    @property
    def is_ours(self) -> bool:
        """Whether it is a function of this package."""
        return self.module in OURS


class Pauses(_Part, frozen=True, kw_only=True):
    """Seconds."""

    before: float = 0.0
    after: float = 0.0


class Activity(_Part, frozen=True, kw_only=True):
    """An action or a probe. `tolerance` only in a hypothesis."""

    type: Literal["action", "probe"]
    name: str
    tolerance: bool | int | float | str | list[object] | dict[str, object] | None = None
    provider: Provider
    pauses: Pauses = Pauses()


class Hypothesis(_Part, frozen=True, kw_only=True):
    """Must be true before the method and after it."""

    title: str
    probes: tuple[Activity, ...] = ()


class Strategy(_Part, frozen=True, kw_only=True):
    """When rollbacks or hypothesis are carried out."""

    strategy: str = "default"


class Runtime(_Part, frozen=True, kw_only=True):
    """Only on an interruption or a failed hypothesis would `default` leave the rollbacks out."""

    rollbacks: Strategy = Strategy()
    hypothesis: Strategy = Strategy()


class Extension(_Part, frozen=True, kw_only=True):
    """A part of the file for what Chaos Toolkit has no word for."""

    name: str
    not_expressed: tuple[str, ...] = ()


class Document(_Part, frozen=True, kw_only=True, rename={"hypothesis": "steady-state-hypothesis"}):
    """One experiment file of Chaos Toolkit's."""

    version: str = ""
    title: str
    description: str = ""
    tags: tuple[str, ...] = ()
    extensions: tuple[Extension, ...] = ()
    configuration: dict[str, object] = {}
    runtime: Runtime = Runtime()
    hypothesis: Hypothesis | None = None
    method: tuple[Activity, ...] = ()
    rollbacks: tuple[Activity, ...] = ()
