"""docs/adapter-reference.md: the kit for adapters, and the section `platform:` of a scenario."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Final

import msgspec

from harness.adapter import kit
from harness.registry.capabilities import WORDS, Capability
from harness.scenario import own_platform
from harness.scenario.file import Journeys
from tests.reference.types import fields, one_line, prose, rows, table, tidy

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "adapter-reference.md"
SECTIONS: Final = (
    (own_platform.OwnPlatform, "platform"),
    (own_platform.Rules, "platform.rules"),
    (own_platform.Limits, "platform.limits"),
    (own_platform.MetricsPage, "platform.metrics.NAME"),
    (own_platform.IndicatorSource, "platform.indicators.NAME"),
    (own_platform.Edge, "platform.edges.NAME"),
    (own_platform.Part, "platform.parts.NAME"),
)
_TYPES: Final = """\
`Count` is a whole number from 0 on, `Positive` a number above 0; names that end in `_s` are seconds. `HostPort` is
host:port. `Probe` is one of tcp, http, redis, postgres and websocket.
"""
_NOT_FOR_AUTHORS: Final = frozenset(
    {
        "actor_of", "become", "begin", "bot_session", "browser_of", "fan_session", "final_reads", "first_send_s",
        "leave_out", "people_count", "prepare", "probe_session", "reads_now", "recorder", "session_that_bought",
        "shows", "site", "spectator_session", "sweep",
    }
)  # fmt: skip
"""What the swarm and the kit itself ask of these classes."""
_INTRODUCTION: Final = """\
# Adapter reference

What `gatecrash.adapter` offers to authors of adapters, and every field of the `platform:` section of a scenario. How
to use them is told in [own-platform.md](own-platform.md). This page is made from the code by
`python -m tests.reference`.
"""


def render() -> str:
    """The whole page."""
    blocks = [_INTRODUCTION, "## Capabilities\n", *_capabilities(), "## gatecrash.adapter\n"]
    for name in kit.__all__:
        if name != "Capability":
            blocks += _class(name, getattr(kit, name))
    blocks += ["## The section `platform:`\n", _TYPES]
    for section, place in SECTIONS:
        blocks += [f"### {place}\n", f"{prose(section)}\n", *table(fields(section), "Field")]
    blocks += ["## The section `journeys:`\n", f"{prose(Journeys)}\n", *table(fields(Journeys), "Field")]
    blocks += ["`gatecrash.journeys` offers to authors of journeys: " + ", ".join(_offered_to_journeys()) + ".\n"]
    return "\n".join(blocks)


def _capabilities() -> Iterator[str]:
    yield rows(("Capability", "What it says"), [(f"`{one}`", WORDS[one]) for one in Capability])


def _class(name: str, kind: type | FunctionType) -> Iterator[str]:
    yield f"### {name}\n"
    if isinstance(kind, FunctionType):
        yield _member(name, kind)
        return
    if _is_called(kind):
        yield f"```python\n{name}{_signature(kind)}\n```\n"
    yield f"{prose(kind)}\n"
    yield from table(
        [field for field in fields(kind) if field.meaning or not issubclass(kind, msgspec.Struct)], "Attribute"
    )
    bases = [base for base in kind.__mro__[1:] if base.__name__.startswith("_")]
    for member, value in {**vars(kind), **{name: it for base in bases for name, it in vars(base).items()}}.items():
        hidden = member.startswith("_") or member in _NOT_FOR_AUTHORS
        if not hidden and isinstance(value, FunctionType | property | classmethod):
            yield _member(member, value)


def _member(name: str, value: Any) -> str:
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    of = inspect.signature(function)
    given = [one for one in of.parameters.values() if one.name not in ("self", "cls")]
    shown = of.replace(parameters=given)
    text = f"{name}: {shown.return_annotation}" if isinstance(value, property) else f"{name}{shown}"
    return f"- `{tidy(text)}`: {one_line(inspect.getdoc(function) or '')}\n"


def _is_called(kind: type) -> bool:
    """Whether authors make one themselves."""
    return issubclass(kind, msgspec.Struct | Exception)


def _signature(kind: type) -> str:
    if not issubclass(kind, msgspec.Struct):
        return tidy(str(inspect.signature(kind)).replace(" -> None", "")) if "__init__" in vars(kind) else "()"
    parts = [f"{one.name}: {one.kind}" + (f" = {one.default}" if one.default else "") for one in fields(kind)]
    return f"(*, {', '.join(parts)})" if parts else "()"


def _offered_to_journeys() -> list[str]:
    """Read, not imported: journeys load gevent, which patches the whole process."""
    listed = re.search(
        r"^__all__ = (\[.*?\])", (ROOT / "scenarios/journeys.py").read_text(encoding="utf-8"), re.M | re.S
    )
    assert listed is not None
    return [f"`{name}`" for name in ast.literal_eval(listed[1])]
