"""The kinds of faults, one short module for each: what it breaks, with which injector, and how it is undone."""

from __future__ import annotations

from typing import TypeAlias

from chaos.faults import container, disable, disconnect, drop, kill, outside, pause, plugin, replication, toxic
from chaos.faults.tools import Tools
from chaos.specification.fault import (
    AddToxic,
    CutReplication,
    Disable,
    Disconnect,
    Drop,
    Fault,
    Kill,
    Pause,
    PauseReplay,
    PluginOnProcess,
    PluginOnProxy,
)

Inverse: TypeAlias = (
    disable.Enable
    | toxic.RemoveToxic
    | kill.StartAgain
    | outside.StartOutside
    | pause.GoOn
    | replication.ResumeReplay
    | replication.Reconnect
    | container.StartContainer
    | container.ThawContainer
    | disconnect.Reattach
    | plugin.UndoByPlugin
)
"""Plain data, known before anything is broken: whoever has it can heal. Its `what` is for people and has no secret."""


def inverse_of(fault: Fault, name: str, tools: Tools) -> Inverse:
    """The inverse of this fault, made from the state before it; `name` is unique to it. Raises GatecrashError."""
    match fault:
        case Disable():
            return disable.inverse(fault, tools)
        case AddToxic():
            return toxic.inverse(fault, name, tools)
        case Drop():
            return drop.inverse(fault, tools)
        case Kill():
            return _inverse_of_kill(fault, tools)
        case Pause():
            found = tools.stack_control.process(fault.process).container
            return container.inverse_of_pause(fault.process, found) if found else pause.inverse(fault, tools)
        case Disconnect():
            return disconnect.inverse(fault, tools)
        case PauseReplay():
            return replication.inverse_of_pause(fault, tools)
        case CutReplication():
            return replication.inverse_of_cut(fault, tools)
        case PluginOnProxy() | PluginOnProcess():
            return plugin.inverse(fault, tools)


def inject(fault: Fault, name: str, inverse: Inverse, tools: Tools) -> dict[str, float]:
    """Inject the fault; returns what was measured on the way. Raises GatecrashError."""
    match fault, inverse:
        case Disable(), _:
            return disable.inject(fault, tools)
        case AddToxic(), _:
            return toxic.inject(fault, name, tools)
        case Drop(), _:
            return drop.inject(fault, tools)
        case Kill(), container.StartContainer():
            return container.kill(inverse)
        case Pause(), container.ThawContainer():
            return container.pause(inverse)
        case Kill(), outside.StartOutside():
            return outside.kill(inverse)
        case Kill(), _:
            return kill.inject(fault, tools)
        case Disconnect(), disconnect.Reattach():
            return disconnect.inject(inverse)
        case Pause(), pause.GoOn():
            return pause.inject(inverse)
        case PauseReplay(), replication.ResumeReplay():
            return replication.pause(inverse)
        case CutReplication(), replication.Reconnect():
            return replication.cut(inverse)
        case PluginOnProxy() | PluginOnProcess(), plugin.UndoByPlugin():
            return plugin.inject(inverse)
    raise TypeError(f"{type(inverse).__name__} does not undo {type(fault).__name__}")


def _inverse_of_kill(fault: Kill, tools: Tools) -> Inverse:
    part = tools.stack_control.process(fault.process)
    if part.container:
        return container.inverse_of_kill(fault.process, part.container)
    return kill.inverse(fault, tools) if part.outside is None else outside.inverse(part.outside)


def injector_of(fault: Fault, inverse: Inverse | None = None) -> str:
    """toxiproxy, process, docker, postgres or plugin. Until a fault has an inverse, docker shows as process."""
    if isinstance(fault, Disconnect) or isinstance(inverse, container.StartContainer | container.ThawContainer):
        return "docker"
    match fault:
        case Kill() | Pause():
            return "process"
        case PauseReplay() | CutReplication():
            return "postgres"
        case Disable() | AddToxic() | Drop():
            return "toxiproxy"
        case PluginOnProxy() | PluginOnProcess():
            return "plugin"
