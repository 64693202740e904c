"""The faults that an experiment file can ask for, and the checks for impossible ones. `chaos.faults` injects them."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from chaos.proxy.toxics import TOXICS
from harness.yaml_file import YamlFile, suggest


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the faults: frozen, and an unknown key is refused."""


class Disable(_Part, frozen=True, kw_only=True, tag_field="action", tag="disable"):
    """The proxy refuses new connections and closes those that are open."""

    proxy: str


class AddToxic(_Part, frozen=True, kw_only=True, tag_field="action", tag="toxic"):
    """The proxy gets a toxic; see chaos/proxy/toxics for the types and their attributes."""

    proxy: str
    type: str
    stream: Literal["upstream", "downstream"] = "downstream"
    attributes: dict[str, int] = {}
    toxicity: float = 1.0


class Drop(_Part, frozen=True, kw_only=True, tag_field="action", tag="drop"):
    """The proxy cuts a share of its open connections at each of these points of the window (0 start, 1 end)."""

    proxy: str
    percent: float
    mode: Literal["rst", "fin"] = "rst"
    at_ratio: tuple[float, ...] = (0.0,)


class Kill(_Part, frozen=True, kw_only=True, tag_field="action", tag="kill"):
    """The process gets SIGKILL; healing starts it again."""

    process: str


class Pause(_Part, frozen=True, kw_only=True, tag_field="action", tag="pause"):
    """The process and all below it are stopped by SIGSTOP; healing lets them go on."""

    process: str


class Disconnect(_Part, frozen=True, kw_only=True, tag_field="action", tag="disconnect"):
    """The container of the process is taken off its networks, its memory intact; healing puts it back."""

    process: str


class PauseReplay(_Part, frozen=True, kw_only=True, tag_field="action", tag="pause_replay"):
    """The replica receives what the primary writes, and shows none of it to readers."""

    server: str


class CutReplication(_Part, frozen=True, kw_only=True, tag_field="action", tag="cut_replication"):
    """The replica is told to follow no primary."""

    server: str


class PluginOnProxy(_Part, frozen=True, kw_only=True, tag_field="action", tag="plugin_on_proxy"):
    """A fault kind of a plugin breaks the proxy; `options` are its own."""

    fault: str
    proxy: str
    options: dict[str, str | int | float | bool] = {}


class PluginOnProcess(_Part, frozen=True, kw_only=True, tag_field="action", tag="plugin_on_process"):
    """A fault kind of a plugin breaks the process; `options` are its own."""

    fault: str
    process: str
    options: dict[str, str | int | float | bool] = {}


Fault: TypeAlias = (
    Disable
    | AddToxic
    | Drop
    | Kill
    | Pause
    | Disconnect
    | PauseReplay
    | CutReplication
    | PluginOnProxy
    | PluginOnProcess
)
ON_PROXIES: Final = (Disable, AddToxic, Drop, PluginOnProxy)
ON_PROCESSES: Final = (Kill, Pause, Disconnect, PluginOnProcess)


def place_of(fault: Fault) -> str:
    """The name of the component that the fault breaks: a proxy, a process or a database server."""
    match fault:
        case Disable() | AddToxic() | Drop() | PluginOnProxy():
            return fault.proxy
        case Kill() | Pause() | Disconnect() | PluginOnProcess():
            return fault.process
        case PauseReplay() | CutReplication():
            return fault.server


def check_fault(fault: Fault, file: YamlFile, at: int) -> None:
    """Raises InputError for a fault that is impossible. `at`: its index in the file's `faults`."""
    if isinstance(fault, AddToxic):
        _check_toxic(fault, file, at)
    if isinstance(fault, Drop):
        _check_drop(fault, file, at)
    if isinstance(fault, PluginOnProxy | PluginOnProcess):
        _check_plugin(fault, file, at)


def _check_toxic(fault: AddToxic, file: YamlFile, at: int) -> None:
    stage = TOXICS.get(fault.type)
    if stage is None:
        raise file.error(f"cannot be {fault.type!r}", "faults", at, "type", hint=f"one of {', '.join(sorted(TOXICS))}")
    if not 0 < fault.toxicity <= 1:
        raise file.error("expected a share above 0 and up to 1", "faults", at, "toxicity")
    known = stage.attributes_type.__struct_fields__
    for key, value in fault.attributes.items():
        if key not in known:
            hint = f"{fault.type} has {', '.join(known) or 'no attributes'}"
            raise file.error("unknown key", "faults", at, "attributes", key, hint=hint)
        if value < 0:
            raise file.error("must not be negative", "faults", at, "attributes", key)
    if problem := msgspec.convert(fault.attributes, stage.attributes_type).problem():
        raise file.error(problem, "faults", at, "attributes")


def _check_drop(fault: Drop, file: YamlFile, at: int) -> None:
    if not 0 < fault.percent <= 100:
        raise file.error("expected a percentage above 0 and up to 100", "faults", at, "percent")
    if not fault.at_ratio or not all(0 <= ratio < 1 for ratio in fault.at_ratio):
        raise file.error("expected points of the window, from 0 to below 1", "faults", at, "at_ratio")


def _check_plugin(fault: PluginOnProxy | PluginOnProcess, file: YamlFile, at: int) -> None:
    from harness import plugins

    found = plugins.fault_kind(fault.fault)
    if found is None:
        why = "; ".join(wrong.message for wrong in plugins.problems())
        hint = (
            suggest(fault.fault, plugins.fault_kinds()) if plugins.fault_kinds() else "install the plugin that has it"
        )
        raise file.error(f"no plugin has a fault {fault.fault!r}", "faults", at, "fault", hint=why or hint)
    kind = found[1]
    place = "proxy" if isinstance(fault, PluginOnProxy) else "process"
    if kind.on != place:
        hint = f"write action: plugin_on_{kind.on}"
        raise file.error(f"{kind.name} breaks a {kind.on}", "faults", at, "action", hint=hint)
    try:
        msgspec.convert(fault.options, kind.options)
    except (msgspec.ValidationError, ValueError) as error:
        hint = f"{kind.name} has {', '.join(kind.options.__struct_fields__) or 'no options'}"
        raise file.error(f"is not what {kind.name} takes: {error}", "faults", at, "options", hint=hint) from error
