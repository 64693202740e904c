"""Carries out the planned experiments on the release clock, and heals: on schedule, and on any way out.

with Conductor(planned, addresses, faults_path) as conductor:
    conductor.preflight()               # before any load: could every fault be injected and proven?
    conductor.start(t0_monotonic_s)     # its own thread keeps the schedule
    ...
    conductor.finish()                  # heals what is still in force, waits for the canaries, writes faults.json
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

import msgspec

from chaos.canary import Address, probe, wait_all_healed
from chaos.experiment import CanarySpec
from chaos.injection import Injection
from chaos.injectors.toxiproxy import ProxyState, Toxiproxy
from chaos.timeline import Kind, Planned, Step, schedule
from harness.errors import EnvironmentProblem, InputError
from harness.record.schema import SCHEMA_VERSION, FaultsDocument
from harness.record.writer import write_document

_HEAL_WITHIN_S: Final = 8.0
_SEEN_HEALED_WITHIN_S: Final = 10.0
_PREFLIGHT_WITHIN_S: Final = 5.0
_PREFLIGHT_PAUSE_S: Final = 0.2
_PROBE_TIMEOUT_S: Final = 2.0
_ANY_INTERFACE: Final = frozenset({"", "0.0.0.0", "::"})
_log = logging.getLogger("chaos")


class Addresses(Protocol):
    """What the conductor must know of the platform: `harness.stack.Addresses` has it."""

    @property
    def toxiproxy(self) -> str:
        """URL of the fault proxy's API, "" where there is none."""

    @property
    def event(self) -> str:
        """The event on sale: part of the feed's path."""


class Conductor:
    """Injects, proves and heals. `faults_path` is rewritten whole after each change of state."""

    def __init__(self, planned: Sequence[Planned], addresses: Addresses, faults_path: Path) -> None:
        self._planned = tuple(planned)
        self._steps = schedule(self._planned)
        self._event = addresses.event
        self._url = addresses.toxiproxy
        self._path = faults_path
        self._server = Toxiproxy(self._url) if self._url else None
        self._injections: tuple[Injection, ...] = ()
        self._t0_monotonic_s = time.monotonic()
        self._lock = threading.RLock()  # the server is driven, and faults.json written, by one thread at a time
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_schedule, name="conductor", daemon=True)
        self._finished = False

    def preflight(self) -> None:
        """Prove, before any load, that every fault can be injected and seen. Raises GatecrashError.

        The server answers, the proxies are there and unharmed, and each canary gets through.
        """
        if not self._planned:
            return
        known = self._require_server().proxies()
        wanted = {name for plan in self._planned for name in plan.experiment.proxies}
        for name in sorted(wanted):
            _require_unharmed(known.get(name), name, known)
        addresses = {name: self._address(known[name]) for name in wanted}
        plans = [self._with_event(plan) for plan in self._planned]
        self._injections = tuple(Injection(plan, at, addresses, self._clock) for at, plan in enumerate(plans))
        for plan in plans:
            for spec in plan.experiment.canaries:
                _require_healthy(spec, addresses[spec.proxy])

    def start(self, t0_monotonic_s: float) -> None:
        """Begin the schedule; returns at once. T0 may lie ahead."""
        if self._planned and not self._injections:
            self.preflight()
        self._t0_monotonic_s = t0_monotonic_s
        self._write()
        self._thread.start()

    def in_force(self) -> tuple[str, ...]:
        """The experiments whose faults are in force now."""
        return tuple(injection.plan.experiment.name for injection in self._injections if injection.in_force)

    def finish(self) -> None:
        """Heal what is still in force, wait until that is seen, write faults.json. Bounded in time; may be repeated."""
        if self._finished:
            return
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_HEAL_WITHIN_S * 2)
        self._heal_all()
        undone = [injection for injection in self._injections if injection.was_injected and not injection.in_force]
        wait_all_healed([canary for injection in undone for canary in injection.canaries], _SEEN_HEALED_WITHIN_S)
        for injection in self._injections:
            injection.stop()
        self._write()
        self._finished = True
        if self._server is not None:
            self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()

    def _clock(self) -> float:
        return time.monotonic() - self._t0_monotonic_s

    def _keep_schedule(self) -> None:
        try:
            for step in self._steps:
                if self._stop.wait(max(0.0, step.t_s - self._clock())):
                    return
                with self._lock:
                    self._do(step)
                    self._write()
        except BaseException:
            self._heal_all()  # at once: `finish` may be far away
            raise

    def _do(self, step: Step) -> None:
        injection, server = self._injections[step.planned], self._require_server()
        match step.kind:
            case Kind.WATCH:
                injection.watch()
            case Kind.INJECT | Kind.REPEAT:
                injection.inject(server, step.faults)
            case Kind.HEAL:
                injection.heal(server, time.monotonic() + _HEAL_WITHIN_S)

    def _heal_all(self) -> None:
        """The last experiment first. One deadline for all."""
        with self._lock:
            deadline_s = time.monotonic() + _HEAL_WITHIN_S
            for injection in reversed(self._injections):
                injection.heal(self._require_server(), deadline_s)

    def _write(self) -> None:
        """A disk that is full must not keep a fault in force: it is said, and the work goes on."""
        with self._lock:
            runs = tuple(injection.document() for injection in self._injections)
            try:
                write_document(self._path, FaultsDocument(schema=SCHEMA_VERSION, faults=runs))
            except EnvironmentProblem as problem:
                _log.error("%s", problem)

    def _require_server(self) -> Toxiproxy:
        if self._server is None:
            raise InputError("this platform has no fault proxy, so nothing can be broken", hint="add --no-chaos")
        return self._server

    def _address(self, proxy: ProxyState) -> Address:
        host, _, port = proxy.listen.rpartition(":")
        host = host.strip("[]")
        return (self._require_server().host if host in _ANY_INTERFACE else host, int(port))

    def _with_event(self, plan: Planned) -> Planned:
        """The plan with the event's name in its canaries' paths."""
        experiment = plan.experiment
        canaries = tuple(
            msgspec.structs.replace(spec, path=spec.path.replace("{event}", self._event))
            for spec in experiment.canaries
        )
        return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(experiment, canaries=canaries))


def _require_unharmed(proxy: ProxyState | None, name: str, known: Collection[str]) -> None:
    if proxy is None:
        hint = f"it has {', '.join(sorted(known)) or 'none'}"
        raise InputError(f"the fault proxy has no proxy called {name!r}", hint=hint)
    if not proxy.enabled or proxy.toxics:
        state = "is disabled" if not proxy.enabled else f"has the toxic {proxy.toxics[0].name!r}"
        hint = "undo it: POST /reset on the fault proxy undoes everything"
        raise EnvironmentProblem(f"the proxy {name!r} {state} already, before any fault", hint=hint)


def _require_healthy(spec: CanarySpec, address: Address) -> None:
    """A canary that is not well before the fault cannot prove anything after it."""
    deadline_s = time.monotonic() + _PREFLIGHT_WITHIN_S
    while True:
        reading = probe(spec, address, _PROBE_TIMEOUT_S)
        if reading.state == "ok":
            return
        if time.monotonic() > deadline_s:
            raise EnvironmentProblem(
                f"the canary for {spec.proxy} ({spec.probe}) does not get through before any fault: {reading.state}",
                hint="see whether what stands behind that proxy is up",
            )
        time.sleep(_PREFLIGHT_PAUSE_S)
