"""Imports files that use the extension chaostoolkit-toxiproxy as experiments of ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from chaos.specification.experiment import CanarySpec, Experiment, Guard
from chaos.specification.fault import AddToxic, Disable
from chaos.toolkit.document import Activity, Document, Provider
from harness.errors import InputError
from harness.yaml_file import Keys, YamlFile

_PROXY: Final = "chaostoxi.proxy.actions"
_TOXIC: Final = "chaostoxi.toxic.actions"
_TYPES: Final = {
    "create_latency_toxic": "latency",
    "create_bandwith_degradation_toxic": "bandwidth",  # spelt this way in the extension
    "create_slow_connection_close_toxic": "slow_close",
    "create_timeout_toxic": "timeout",
    "create_slicer_toxic": "slicer",
    "create_limiter_toxic": "limit_data",
}
_RENAMED: Final = {"bytes_limit": "bytes"}
_SPEAKS: Final = (("redis", "redis"), ("valkey", "redis"), ("postgres", "postgres"), ("pg", "postgres"))
"""Part of a proxy's name → the probe that it is taken to answer; http otherwise."""


class Imported(msgspec.Struct, frozen=True):
    """`notes`: what was assumed, for the user to check."""

    experiment: Experiment
    notes: tuple[str, ...] = ()


def read(document: Document, file: YamlFile) -> Imported:
    """Read the file's content. Raises InputError for the first part that has no counterpart."""
    faults, length_s = _window(document, file)
    for at, activity in enumerate(document.rollbacks):
        if not _heals(activity.provider):
            raise not_supported(activity, file, ("rollbacks", at))
    proxies = sorted({fault.proxy for fault in faults})
    canaries = tuple(_canary(proxy, [fault for fault in faults if fault.proxy == proxy], file) for proxy in proxies)
    experiment = Experiment(
        name=re.sub(r"[^a-z0-9]+", "-", document.title.lower()).strip("-") or "imported",
        hypothesis=document.hypothesis.title if document.hypothesis else document.title,
        component=", ".join(proxies),
        kind=", ".join(sorted({fault.type if isinstance(fault, AddToxic) else "refuse" for fault in faults})),
        length_s=length_s,
        faults=tuple(faults),
        canaries=canaries,
        steady_state=_steady_state(document, file),
    )
    notes = [f"the proxy {one.proxy!r} is taken to speak {one.probe}: see canaries" for one in canaries]
    return Imported(experiment, (*notes, "it expects nothing yet: add expectations"))


def not_supported(activity: Activity, file: YamlFile, keys: Keys) -> InputError:
    """The error for a function outside the common subset."""
    provider = activity.provider
    hint = "known: our own functions, and the actions of chaostoolkit-toxiproxy on proxies that exist"
    return file.error(f"{provider.module}.{provider.func} is not supported", *keys, "provider", hint=hint)


def _window(document: Document, file: YamlFile) -> tuple[list[AddToxic | Disable], float]:
    """The faults, all injected at one time, and after how many seconds the first of them is undone."""
    faults: list[AddToxic | Disable] = []
    now_s = begun_s = 0.0
    healed_s: float | None = None
    for at, activity in enumerate(document.method):
        now_s += activity.pauses.before
        fault = _fault(activity.provider, file, ("method", at, "provider"))
        if fault is not None:
            if faults and (healed_s is not None or now_s > begun_s):
                hint = "gatecrash injects all faults of an experiment at once: one file for each window"
                raise file.error("a fault later than the others is not supported", "method", at, hint=hint)
            faults.append(fault)
            begun_s = now_s
        elif _heals(activity.provider):
            healed_s = now_s if healed_s is None else healed_s
        else:
            raise not_supported(activity, file, ("method", at))
        now_s += activity.pauses.after
    length_s = (now_s if healed_s is None else healed_s) - begun_s
    if not faults or length_s <= 0:
        what = "does not say how long the fault lasts" if faults else "breaks nothing"
        hint = "pauses: {after: SECONDS} on the last fault, or {before: SECONDS} on what undoes it"
        raise file.error(what, "method", hint=hint)
    return faults, length_s


def _heals(provider: Provider) -> bool:
    """Whether an action undoes a fault: such actions are dropped, because we heal by ourselves."""
    enables = provider.func == "modify_proxy" and provider.arguments.get("enabled") is True
    on_proxies = provider.module == _PROXY and (provider.func in {"enable_proxy", "reset"} or enables)
    return on_proxies or (provider.module, provider.func) == (_TOXIC, "delete_toxic")


def _fault(provider: Provider, file: YamlFile, keys: Keys) -> AddToxic | Disable | None:
    """The fault that this action injects; None when it injects none. Raises InputError."""
    place = (*keys, "arguments")
    arguments = {key: value for key, value in provider.arguments.items() if key != "configuration"}
    for key, value in arguments.items():
        if isinstance(value, str) and value.startswith("${"):
            raise file.error("variables are not supported", *place, key, hint="write the value")
    if provider.module == _PROXY:
        disables = provider.func == "disable_proxy" or (
            provider.func == "modify_proxy" and set(arguments) == {"proxy_name", "enabled"} and not arguments["enabled"]
        )
        return _decode({"action": "disable", "proxy": arguments.get("proxy_name")}, file, place) if disables else None
    if provider.module != _TOXIC or provider.func not in {"create_toxic", *_TYPES}:
        return None
    proxy = arguments.pop("for_proxy", None)
    arguments.pop("toxic_name", None)  # our toxics have names of their own
    toxic = {"action": "toxic", "proxy": proxy}
    if provider.func == "create_toxic":
        toxic |= {"type": arguments.pop("toxic_type", None), **arguments}
    else:
        attributes = {_RENAMED.get(key, key): value for key, value in arguments.items()}
        toxic |= {"type": _TYPES[provider.func], "attributes": attributes}
    return _decode(toxic, file, place)


def _decode(data: dict[str, object], file: YamlFile, place: Keys) -> AddToxic | Disable:
    try:
        return msgspec.convert(data, AddToxic | Disable)
    except msgspec.ValidationError as error:
        raise file.error(f"cannot be used: {error}", *place) from error


def _canary(proxy: str, faults: Sequence[AddToxic | Disable], file: YamlFile) -> CanarySpec:
    """The probe that sees the clearest of the faults on this proxy. Raises InputError when none can be seen."""
    speaks = next((probe for part, probe in _SPEAKS if part in proxy.lower()), "http")
    seen = {"probe": speaks, "proxy": proxy}
    for fault in sorted(faults, key=lambda fault: isinstance(fault, AddToxic)):
        match fault:
            case Disable():
                return msgspec.convert({**seen, "effective": "refused"}, CanarySpec)
            case AddToxic(type="latency", attributes=attributes):
                at_least_ms = attributes.get("latency", 0) - attributes.get("jitter", 0)
                if at_least_ms > 0:
                    return msgspec.convert({**seen, "effective": "slow", "slow_ms_min": at_least_ms}, CanarySpec)
            case (
                AddToxic(type="bandwidth", attributes={"rate": 0}) | AddToxic(type="timeout", attributes={"timeout": 0})
            ):
                return msgspec.convert({**seen, "effective": "hung"}, CanarySpec)
            case AddToxic(type="reset_peer"):
                return msgspec.convert({**seen, "effective": "refused"}, CanarySpec)
    hint = "a canary sees a proxy that is off, latency, bandwidth 0, timeout 0 and reset_peer"
    raise file.error(f"no canary could prove what is done to the proxy {proxy!r}", "method", hint=hint)


def _steady_state(document: Document, file: YamlFile) -> tuple[Guard, ...]:
    """A steady state from our own probe of a metric; `proxy_exist` is dropped, because each fault checks it anyway."""
    guards = []
    for at, probe in enumerate(document.hypothesis.probes if document.hypothesis else ()):
        provider, place = probe.provider, ("steady-state-hypothesis", "probes", at)
        if (provider.module, provider.func) == ("chaostoxi.proxy.probes", "proxy_exist"):
            continue
        if not (provider.is_ours and provider.func == "metric"):
            raise not_supported(probe, file, place)
        wanted = {key: value for key, value in provider.arguments.items() if key != "platform"}
        try:
            guards.append(msgspec.convert({"name": probe.name, **wanted}, Guard))
        except msgspec.ValidationError as error:
            raise file.error(f"cannot be used: {error}", *place, "provider", "arguments") from error
    return tuple(guards)
