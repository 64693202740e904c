"""Carries out the planned experiments on the release clock, and heals: on schedule, and on any way out.

with Conductor(planned, addresses, faults_path) as conductor:
    conductor.preflight()               # before any load: could every fault be injected, proven and healed?
    conductor.start(t0_monotonic_s)     # its own thread keeps the schedule
    ...
    conductor.finish()                  # heals what is still in force, waits for the canaries, writes faults.json

Each fault is on disk with its inverse before it is injected, so that it can be undone whatever happens to this process:
see `chaos.lease.lease`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

import msgspec

from chaos.faults.tools import Tools
from chaos.injection.guards import GuardWatch
from chaos.injection.injection import Injection
from chaos.injection.preflight import places_of, require_ready, require_undoable
from chaos.injectors.stack_control import StackControl
from chaos.lease import state
from chaos.lease.lease import LEASE_S, Lease
from chaos.proof.canary import wait_all_healed
from chaos.specification.timeline import Kind, Planned, Step, schedule
from harness.errors import EnvironmentProblem
from harness.fault_change import FaultChange
from harness.record.schema import SCHEMA_VERSION, FaultRun, FaultsDocument
from harness.record.writer import write_document

_HEAL_WITHIN_S: Final = 8.0
_SEEN_HEALED_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.1
_log = logging.getLogger("chaos")


class PlatformAddresses(Protocol):
    """What the conductor must know of the platform; `harness.stack.Addresses` has it."""

    @property
    def toxiproxy(self) -> str:
        """URL of the fault proxy's API; "" when there is none."""

    @property
    def event(self) -> str:
        """The event on sale: part of the feed's path."""

    @property
    def metrics(self) -> Mapping[str, str]:
        """Source → URL of a Prometheus page, for the guards."""


class Conductor:
    """Injects, proves and heals. `faults_path` is rewritten whole after each change of state.

    `stack_control` gives access to processes and databases. `lease_s`: for how long a fault may stay when this process
    hangs.
    `metrics_headers`: source → what the guards send with their requests; `verify`: the certificates that they trust.
    """

    def __init__(
        self,
        planned: Sequence[Planned],
        addresses: PlatformAddresses,
        faults_path: Path,
        stack_control: StackControl | None = None,
        *,
        lease_s: float = LEASE_S,
        metrics_headers: Mapping[str, Mapping[str, str]] | None = None,
        verify: str | bool = True,
    ) -> None:
        self._planned = tuple(_with_event(plan, addresses.event) for plan in planned)
        self._steps = schedule(self._planned)
        self._path = faults_path
        self._tools = Tools(addresses.toxiproxy, stack_control)
        self._lease_s = lease_s
        self._lease: Lease | None = None
        experiments = [plan.experiment for plan in self._planned]
        guards = [guard for one in experiments for guard in (*one.steady_state, *one.guards)]
        self._watch = GuardWatch(guards, addresses.metrics, metrics_headers, verify)
        self._injections: tuple[Injection, ...] = ()
        self._t0_monotonic_s = time.monotonic()
        self._lock = threading.RLock()  # only one thread at a time uses the fault proxy and writes faults.json
        self._stop = threading.Event()
        self._stopped_by = ""
        self._died = ""
        self._thread = threading.Thread(target=self._keep_schedule, name="conductor", daemon=True)
        self._finished = False

    @property
    def stop_reason(self) -> str:
        """Why the whole run must end now; "" while the run may go on."""
        return self._stopped_by

    @property
    def failure(self) -> str:
        """Which thread or process of the conductor died, and how; "" while all of them live."""
        if self._died:
            return self._died
        if self._watch.failure:
            return self._watch.failure
        return (
            "the reaper died, the process that heals when we cannot" if self._lease and self._lease.reaper_died else ""
        )

    def preflight(self) -> None:
        """Prove, before any load, that every fault can be injected, seen and healed. Raises GatecrashError.

        No kill switch is set, the servers answer, the proxies are there and unharmed, each canary gets through, and a
        reaper is ready.
        """
        state.require_not_stopped()
        if not self._planned:
            return
        experiments = [plan.experiment for plan in self._planned]
        places = places_of(experiments, self._tools)
        require_undoable(experiments, self._tools)
        require_ready([canary for one in experiments for canary in one.canaries], places)
        lease = self._lease = self._lease or Lease(self._path, lease_s=self._lease_s)
        self._injections = tuple(
            Injection(plan, at, places, self._clock, lease) for at, plan in enumerate(self._planned)
        )
        self._watch.start()

    def start(self, t0_monotonic_s: float) -> None:
        """Begin the schedule; returns at once. T0 may lie ahead."""
        if self._planned and not self._injections:
            self.preflight()
        self._t0_monotonic_s = t0_monotonic_s
        self._write()
        self._thread.start()

    def changes(self) -> tuple[FaultChange, ...]:
        """Every fault that came into force or was healed so far, in order; of each experiment first one, then the
        other."""
        found = [change for injection in self._injections for change in injection.changes()]
        return tuple(sorted(found, key=lambda change: change.t_s))

    def in_force(self) -> tuple[str, ...]:
        """The experiments whose faults are in force now."""
        return tuple(injection.plan.experiment.name for injection in self._injections if injection.in_force)

    def begun(self) -> bool:
        """Whether each experiment was injected or given up by now."""
        with self._lock:
            return all(injection.was_tried for injection in self._injections)

    def runs(self) -> tuple[FaultRun, ...]:
        """The state of each experiment so far."""
        with self._lock:
            return tuple(injection.document() for injection in self._injections)

    def saw(self, figures: Mapping[str, float]) -> None:
        """Tell the guards what the load generator measures: load_p99_ms, load_rps."""
        self._watch.saw(figures)

    def acknowledged(self) -> None:
        """A person has seen the alert of a fault that is theirs to heal."""
        with self._lock:
            for injection in self._injections:
                injection.acknowledged()

    def mitigated(self, said: str) -> bool:
        """A person says what they did. False when the fault is still in force, or was undone by us."""
        with self._lock:
            self._notice_healed_by_hand()
            taken = [injection.mitigated(said) for injection in self._injections]
            return all(taken)

    def finish(self) -> None:
        """Heal the faults still in force, wait until canaries see it, write faults.json. Bounded in time; may be
        repeated.
        """
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
        self._watch.stop()
        self._write()
        self._finished = True
        if self._lease is not None:
            self._lease.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.finish()

    def _clock(self) -> float:
        return time.monotonic() - self._t0_monotonic_s

    def _keep_schedule(self) -> None:
        try:
            for step in self._steps:
                if not self._wait_for(step.t_s):
                    return
                with self._lock:
                    self._do(step)
                    self._write()
            self._wait_for(float("inf"))
        except Exception as error:  # noqa: BLE001 - `failure` tells of it, and the run ends
            self._died = f"the conductor's thread died: {type(error).__name__}: {error}"
            _log.exception("the conductor's thread died")
            self._heal_all()  # at once, because `finish` may be called much later

    def _wait_for(self, t_s: float) -> bool:
        """Wait until that time and watch the guards and the kill switch; false when the run is over."""
        while (left_s := t_s - self._clock()) > 0:
            if self._stop.wait(min(left_s, _LOOK_EVERY_S)):
                return False
            if (switch := state.kill_switch()).exists():
                self._stopped_by = f"stopped by the kill switch {switch}"
                self._end_early(self._injections, self._stopped_by)
                return False
            self._notice_healed_by_hand()
            for injection in self._injections:
                broken = self._watch.broken(injection.plan.experiment.guards) if injection.in_force else ()
                if broken:
                    self._end_early([injection], f"aborted, a guard broke: {', '.join(broken)}")
        return True

    def _notice_healed_by_hand(self) -> None:
        with self._lock:
            news = [injection.notice_healed_by_hand() for injection in self._injections]
            if any(news):
                self._write()

    def _end_early(self, injections: Sequence[Injection], why: str) -> None:
        _log.warning("%s: %s: healing", ", ".join(one.plan.experiment.name for one in injections), why)
        with self._lock:
            for injection in reversed(injections):
                if injection.in_force:
                    injection.abort(why)
                injection.heal(self._tools, time.monotonic() + _HEAL_WITHIN_S)
            self._write()

    def _do(self, step: Step) -> None:
        injection = self._injections[step.planned]
        match step.kind:
            case Kind.WATCH:
                injection.watch()
            case Kind.INJECT:
                if unsteady := self._watch.unsteady(injection.plan.experiment.steady_state):
                    injection.abort(f"not injected, no steady state before it: {', '.join(unsteady)}")
                else:
                    injection.inject(self._tools, step.faults)
            case Kind.REPEAT:
                if injection.in_force:  # not for an experiment that was ended early
                    injection.inject(self._tools, step.faults)
            case Kind.HEAL:
                injection.heal(self._tools, time.monotonic() + _HEAL_WITHIN_S)

    def _heal_all(self) -> None:
        """Heal all, the last experiment first, with one deadline for all."""
        with self._lock:
            deadline_s = time.monotonic() + _HEAL_WITHIN_S
            for injection in reversed(self._injections):
                injection.heal(self._tools, deadline_s)

    def _write(self) -> None:
        """Write faults.json. A full disk must not keep a fault in force: it is noted, and the work goes on."""
        with self._lock:
            try:
                write_document(self._path, FaultsDocument(schema=SCHEMA_VERSION, faults=self.runs()))
            except EnvironmentProblem as problem:
                _log.error("%s", problem)


def _with_event(plan: Planned, event: str) -> Planned:
    """The plan with the event's name in its canaries' paths."""
    experiment = plan.experiment
    canaries = tuple(
        msgspec.structs.replace(spec, path=spec.path.replace("{event}", event)) for spec in experiment.canaries
    )
    return msgspec.structs.replace(plan, experiment=msgspec.structs.replace(experiment, canaries=canaries))
