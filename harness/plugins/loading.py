"""Finds the plugins of this environment by their entry points, and puts what they declare into the registries.

A plugin that cannot be used is a problem that every command says which would have used it; healing is not one of
them. A record is judged by those plugins that it was rehearsed with, so a plugin that is installed later changes no
verdict.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from harness.errors import InputError
from harness.record.collecting.versions import files_digest
from harness.record.schema import PluginVersion
from harness.registry import indicators, invariants

if TYPE_CHECKING:
    from harness.plugins.plugin import FaultKind, Plugin

GROUP: Final = "gatecrash.plugins"


class Loaded(msgspec.Struct, frozen=True):
    """A plugin that can be used."""

    version: PluginVersion
    plugin: Plugin

    @property
    def in_words(self) -> str:
        """What it adds."""
        kinds = (
            (len(self.plugin.indicators), "indicator"),
            (len(self.plugin.invariants), "invariant"),
            (len(self.plugin.faults), "fault kind"),
            (len(self.plugin.sections), "report section"),
        )
        return ", ".join(f"{count} {word}{'s' * (count > 1)}" for count, word in kinds if count) or "nothing"


def installed() -> tuple[Loaded, ...]:
    """The plugins that can be used, by name."""
    return _found()[0]


def problems() -> tuple[InputError, ...]:
    """Why the others cannot be used."""
    return _found()[1]


def install() -> None:
    """Put what the plugins declare into the registries; once is enough. Raises InputError for one that is wrong."""
    for wrong in problems():
        raise wrong
    if not installed():
        return
    from harness import audit, sli
    from harness.plugins import guarded

    for one in installed():
        measured = {spec.name: guarded.indicator(spec, one.version.name) for spec in one.plugin.indicators}
        checked = {spec.name: msgspec.structs.replace(spec, plugin=one.version.name) for spec in one.plugin.invariants}
        for registry in (indicators.INDICATORS, sli.INDICATORS):
            registry.update(measured)
        for rules in (invariants.INVARIANTS, audit.INVARIANTS):
            rules.update(checked)


def used() -> tuple[PluginVersion, ...]:
    """What a record says of the plugins that it is rehearsed with."""
    return tuple(one.version for one in installed())


def judging(rehearsed: Sequence[PluginVersion]) -> tuple[Loaded, ...]:
    """The plugins that judge a record that was rehearsed with these. Raises InputError when one is not here."""
    if not rehearsed:
        return ()
    install()
    here = {one.version.name: one for one in installed()}
    for one in rehearsed:
        if one.name not in here:
            raise InputError(
                f"the record was rehearsed with the plugin {one.in_words}, which is not installed here",
                hint=f"pip install {one.package}=={one.version}",
            )
    return tuple(here[one.name] for one in rehearsed)


def fault_kind(name: str) -> tuple[str, FaultKind] | None:
    """The plugin that has the fault kind of that name, and the kind; None when there is no such."""
    found = ((one.version.name, kind) for one in installed() for kind in one.plugin.faults if kind.name == name)
    return next(found, None)


def fault_kinds() -> list[str]:
    """The names of all fault kinds of plugins."""
    return [kind.name for one in installed() for kind in one.plugin.faults]


@cache
def _found() -> tuple[tuple[Loaded, ...], tuple[InputError, ...]]:
    return find(entry_points(group=GROUP))


def find(points: Iterable[EntryPoint]) -> tuple[tuple[Loaded, ...], tuple[InputError, ...]]:
    """The plugins that these entry points lead to, by name, and why the others cannot be used."""
    good: list[Loaded] = []
    wrong: list[InputError] = []
    for point in sorted(points, key=lambda point: (point.name, _package(point))):
        try:
            one = _load(point)
            _require_new(one, good)
            good.append(one)
        except InputError as error:
            wrong.append(error)
    return tuple(good), tuple(wrong)


def _load(point: EntryPoint) -> Loaded:
    """The plugin of one entry point. Raises InputError."""
    from harness.plugins import checks
    from harness.swarm.users.crashes import place_of
    from harness.swarm.users.loader import offer_gatecrash

    offer_gatecrash()
    try:
        plugin = point.load()
    except (Exception, SystemExit) as error:  # a module that ends the process at import is as wrong as one that raises
        where = place_of(error.__traceback__)
        words = f"{type(error).__name__}: {error}{f' ({where})' if where else ''}"
        raise _refused(point, f"cannot be loaded: {words}") from error
    if wrong := checks.problem(plugin):
        raise _refused(point, wrong)
    version = point.dist.version if point.dist else ""
    return Loaded(PluginVersion(point.name, _package(point), version, _digest(point)), plugin)


def _require_new(one: Loaded, known: Sequence[Loaded]) -> None:
    """Raises InputError for a name that somebody else has already."""
    if other := next((each for each in known if each.version.name == one.version.name), None):
        raise _clash(one, f"has the name of that of {other.version.package}")
    taken = dict.fromkeys((*indicators.INDICATORS, *invariants.INVARIANTS), "gatecrash itself")
    taken |= {name: f"the plugin {each.version.in_words}" for each in known for name in _names(each.plugin)}
    for name in _names(one.plugin):
        if name in taken:
            raise _clash(one, f"declares {name}, which {taken[name]} has already")


def _names(plugin: Plugin) -> Iterator[str]:
    yield from (one.name for one in plugin.indicators)
    yield from (one.name for one in plugin.invariants)
    yield from (one.name for one in plugin.faults)


def _clash(one: Loaded, words: str) -> InputError:
    return InputError(f"the plugin {one.version.in_words} {words}", hint=f"pip uninstall {one.version.package}")


def _refused(point: EntryPoint, words: str) -> InputError:
    package = _package(point)
    version = f" {point.dist.version}" if point.dist else ""
    message = f"the plugin {point.name} ({package}{version}) {words}"
    return InputError(message, hint=f"mend {point.value}, or pip uninstall {package}")


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown package"


def _digest(point: EntryPoint) -> str:
    """A digest of the sources of the plugin's outermost package that is no namespace, else of its module.

    Two checkouts of one version may differ.
    """
    parts = point.module.split(".")
    modules = (sys.modules[".".join(parts[:count])] for count in range(1, len(parts) + 1))
    path = next((Path(one.__file__) for one in modules if one.__file__), None)
    if path is None:
        return hashlib.sha256().hexdigest()[:12]
    folder = path.parent if path.name == "__init__.py" else None
    return files_digest(path.parent, sorted(folder.rglob("*.py")) if folder else [path])
