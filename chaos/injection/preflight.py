"""Preflight: before any load, checks that every planned fault can be injected and seen; finds where canaries probe."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from chaos.faults import inverse_of
from chaos.faults.tools import Tools
from chaos.injectors.toxiproxy import ProxyState
from chaos.proof.canary import Address, Place, probe
from chaos.proof.probes import Reading
from chaos.proof.process_probe import ProcessPlace
from chaos.proof.replica_probe import Replication
from chaos.specification.experiment import CanarySpec, Experiment, Site
from chaos.specification.fault import ON_PROCESSES, CutReplication, Disconnect, PauseReplay
from harness.errors import EnvironmentProblem, InputError

PRIMARY: Final = "postgres-primary"
"""The process of the primary that replicas follow."""

_WITHIN_S: Final = 5.0
_PAUSE_S: Final = 0.2
_PROBE_TIMEOUT_S: Final = 2.0
_ANY_INTERFACE: Final = frozenset({"", "0.0.0.0", "::"})


def places_of(experiments: Iterable[Experiment], tools: Tools) -> dict[Site, Place]:
    """The places that the canaries of these experiments probe. Raises GatecrashError when one is missing or broken."""
    planned = tuple(experiments)
    places: dict[Site, Place] = {}
    proxies = {name for experiment in planned for name in experiment.proxies}
    if proxies:
        known = tools.server.proxies()
        for name in sorted(proxies):
            places["proxy", name] = _address(_unharmed(known.get(name), name, known), tools.server.host)
    for experiment in planned:
        _require_stack_control(experiment, tools)
        for canary in experiment.canaries:
            if canary.looks_at_process:
                places[canary.site] = ProcessPlace(tools.stack_control.process(canary.process))
            elif canary.process:
                host, _, port = tools.stack_control.process(canary.process).address.rpartition(":")
                places[canary.site] = (host, int(port))
            elif canary.server:
                dsns = tools.stack_control.postgres_dsn(PRIMARY), tools.stack_control.postgres_dsn(canary.server)
                places[canary.site] = Replication(*dsns)
    return places


def require_undoable(experiments: Iterable[Experiment], tools: Tools) -> None:
    """Check that every process to be broken runs, is ours to signal and could be healed. Raises GatecrashError."""
    for experiment in experiments:
        for fault in experiment.faults:
            if isinstance(fault, ON_PROCESSES):
                inverse_of(fault, experiment.name, tools)


def require_ready(canaries: Iterable[CanarySpec], places: Mapping[Site, Place]) -> None:
    """Check that each canary finds its place healthy; else it could prove nothing. Raises EnvironmentProblem."""
    for spec in canaries:
        deadline_s = time.monotonic() + _WITHIN_S
        while doubt := _doubt(spec, probe(spec, places[spec.site], _PROBE_TIMEOUT_S)):
            if time.monotonic() > deadline_s:
                raise EnvironmentProblem(f"the canary for {spec.place} ({spec.probe}) {doubt[0]}", hint=doubt[1])
            time.sleep(_PAUSE_S)


def _doubt(spec: CanarySpec, reading: Reading) -> tuple[str, str] | None:
    """Why a canary's view before any fault is not healthy, with a hint; None when it is healthy."""
    if spec.effective == "slow" and reading.state == "ok" and reading.latency_ms >= spec.slow_ms_min:
        hint = "a latency can only be seen when it is longer than the answer takes by itself: raise it"
        return f"takes {reading.latency_ms:.0f} ms before any fault, and is to show {spec.slow_ms_min:,} ms", hint
    if reading.state == "ok":
        return None
    hint = "see whether what it probes is up"
    if spec.effective == "dropped" and reading.state in ("wrong", "reset"):
        hint = "its connections must stay open by themselves; an http probe needs the path of a stream of events"
    return f"does not get through before any fault: {reading.state}", hint


def _unharmed(proxy: ProxyState | None, name: str, known: Collection[str]) -> ProxyState:
    if proxy is None:
        hint = f"it has {', '.join(sorted(known)) or 'none'}"
        raise InputError(f"the fault proxy has no proxy called {name!r}", hint=hint)
    if not proxy.enabled or proxy.toxics:
        state = "is disabled" if not proxy.enabled else f"has the toxic {proxy.toxics[0].name!r}"
        hint = "see `gatecrash chaos status`; POST /reset on the fault proxy undoes everything"
        raise EnvironmentProblem(f"the proxy {name!r} {state} already, before any fault", hint=hint)
    return proxy


def _address(proxy: ProxyState, server_host: str) -> Address:
    host, _, port = proxy.listen.rpartition(":")
    host = host.strip("[]")
    return (server_host if host in _ANY_INTERFACE else host, int(port))


def _require_stack_control(experiment: Experiment, tools: Tools) -> None:
    """Check that the stack gives access to every process and server, and that each of them could be healed."""
    broken = [fault for fault in experiment.faults if isinstance(fault, ON_PROCESSES)]
    for fault in broken:
        try:
            tools.stack_control.process(fault.process)
        except KeyError:
            raise InputError(f"{experiment.name}: the stack has no process called {fault.process!r}") from None
    named = []
    servers = [fault.server for fault in experiment.faults if isinstance(fault, PauseReplay | CutReplication)]
    named += [canary.process for canary in experiment.canaries if canary.process and canary.probe != "process"]
    servers += [canary.server for canary in experiment.canaries if canary.server]
    for find, names, what in ((_process, named, "process"), (_dsn, servers, "database server")):
        for name in names:
            try:
                found = find(tools, name)
            except KeyError:
                raise InputError(f"{experiment.name}: the stack has no {what} called {name!r}") from None
            if not found:
                raise InputError(f"{experiment.name}: {name} listens nowhere, so no canary can probe it")
    for fault in broken:
        if isinstance(fault, Disconnect) and not tools.stack_control.process(fault.process).container:
            hint = "use --stack compose, or an experiment on its fault proxy"
            raise InputError(
                f"{experiment.name}: {fault.process} runs in no container, so it has no network", hint=hint
            )


def _process(tools: Tools, name: str) -> str:
    return tools.stack_control.process(name).address


def _dsn(tools: Tools, name: str) -> str:
    return tools.stack_control.postgres_dsn(name)
