"""Fault kinds of plugins: the plugin reads the state before, breaks, and undoes. The journal has all that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from chaos.faults.tools import Tools
from chaos.specification.fault import PluginOnProcess, PluginOnProxy
from harness.errors import EnvironmentProblem, GatecrashError

if TYPE_CHECKING:
    from harness.plugins.plugin import FaultKind, Place


Prepared: TypeAlias = dict[str, str | int | float | bool]


class UndoByPlugin(msgspec.Struct, frozen=True, tag="plugin", tag_field="inverse"):
    """The inverse: the plugin's own, called with what it prepared before the fault."""

    plugin: str
    fault: str
    place: str
    prepared: Prepared

    @property
    def what(self) -> str:
        """What undoing does, in a line for people. What was prepared may have secrets and is left out."""
        return f"let the plugin {self.plugin} undo {self.fault} on {self.place}"

    def undo(self, tools: Tools) -> None:  # noqa: ARG002 — all that is needed is in the journal
        """As safe to do twice as the plugin says. Raises EnvironmentProblem."""
        _, kind = _kind(self.fault)
        _called(self.plugin, "undo", kind, lambda: kind.undo(dict(self.prepared)))


def inverse(fault: PluginOnProxy | PluginOnProcess, tools: Tools) -> UndoByPlugin:
    """The inverse of this fault. Raises EnvironmentProblem when the plugin finds that it cannot be injected."""
    name, kind = _kind(fault.fault)
    place = _proxy(fault.proxy, tools) if isinstance(fault, PluginOnProxy) else _process(fault.process, tools)
    options = msgspec.convert(fault.options, kind.options)
    prepared: Prepared = {}
    _called(name, "prepare", kind, lambda: prepared.update(_plain(kind.prepare(place, options))))
    return UndoByPlugin(name, kind.name, place.name, prepared)


def inject(inverse: UndoByPlugin) -> dict[str, float]:
    """Inject what the inverse will undo. Returns no measurements: the canary measures."""
    _, kind = _kind(inverse.fault)
    _called(inverse.plugin, "inject", kind, lambda: kind.inject(dict(inverse.prepared)))
    return {}


def _kind(name: str) -> tuple[str, FaultKind]:
    from harness import plugins

    found = plugins.fault_kind(name)
    if found is None:
        why = "; ".join(wrong.message for wrong in plugins.problems()) or "install the plugin that has it"
        raise EnvironmentProblem(f"no plugin has a fault {name!r}", hint=why)
    return found


def _plain(prepared: object) -> Prepared:
    return msgspec.convert(prepared, Prepared)


def _called(plugin: str, what: str, kind: FaultKind, call: Callable[[], None]) -> None:
    """Raises EnvironmentProblem for whatever the plugin raises."""
    try:
        call()
    except GatecrashError:
        raise
    except (Exception, SystemExit) as error:
        words = f"the plugin {plugin} could not {what} {kind.name}: {type(error).__name__}: {error}"
        raise EnvironmentProblem(words) from error


def _proxy(name: str, tools: Tools) -> Place:
    from harness.plugins.plugin import Place

    found = tools.server.proxies().get(name)
    return Place(kind="proxy", name=name, address=found.listen if found else "", control=tools.url)


def _process(name: str, tools: Tools) -> Place:
    from harness.plugins.plugin import Place

    part = tools.stack_control.process(name)
    return Place(kind="process", name=name, address=part.address, pid=part.pid, container=part.container)
