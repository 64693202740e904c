"""Runs the lifecycle of a rehearsal and writes the record: raise stack → arm → release → observe → heal → settle.

It judges nothing: `harness.cli` audits, grades and reports afterwards, from the record alone. The lifecycle knows
faults only as a `FaultConductor`, not how they break the platform.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Self

import msgspec

from harness.errors import EnvironmentProblem, GatecrashError, InputError, Interrupted, NoVerdict
from harness.fault_change import FaultChange
from harness.processes.signals import give_way, shielded, uninterrupted
from harness.record.collecting.scrape import Scraper
from harness.record.collecting.spans import collect_spans, spans_file
from harness.record.collecting.tail import fault_windows
from harness.record.collecting.trace_receiver import TraceReceiver
from harness.record.paths import RunPaths
from harness.record.schema import FaultsDocument, PluginVersion, SelfTestSummary
from harness.rehearsal.journal import RunJournal
from harness.rehearsal.proving import prove
from harness.scenario import Journeys, Load, Scenario
from harness.scenario.environment import metrics_headers
from harness.scenario.own_checks import socket_of
from harness.stack import Addresses, Stack
from harness.stack.allowed import reached, require_allowed
from harness.stack.own import OwnStack, trusted
from harness.swarm.control.child import SwarmChild
from harness.swarm.joining.reach import invitation
from harness.swarm.messaging.protocol import (
    DEFAULT_PLATFORM,
    END_MOST_S,
    JOIN_TIMEOUT_S,
    NOTICE_S,
    Armed,
    Arming,
    Baseline,
    Finished,
    Progress,
    Reach,
    Release,
    ReleaseCommand,
    Settle,
    Settled,
    SwarmSpec,
    Waiting,
)
from harness.swarm.recording.tracing import Tracer

_TICK_S: Final = 0.25
_MANY_START_WITHIN_S: Final = 90.0
_TELLS_EVERY_S: Final = 5.0
_STARTS_WITHIN_S: Final = 30.0
_T0_WITHIN_S: Final = 90.0  # it may be moved some times
_FINISHES_WITHIN_S: Final = 20.0
_SILENT_MAX_S: Final = 30.0  # a swarm reports once a second; ending all journeys may take much longer
_FAULT_PROXIES: Final = ("fault-proxy", "toxiproxy")
"""The parts of a stack that are not the platform's but ours."""


class FaultConductor(Protocol):
    """Injects the planned faults. Leaving its context heals the faults that are still in force."""

    def preflight(self) -> None:
        """Prove, before any load, that every fault could be injected. Raises GatecrashError."""

    def start(self, t0_monotonic_s: float) -> None:
        """Begin the schedule on the release clock; returns at once."""

    def changes(self) -> tuple[FaultChange, ...]:
        """Every fault that came into force or was healed so far, in order."""

    def saw(self, figures: Mapping[str, float]) -> None:
        """Tell the conductor what the load generator measures now, by name: load_p99_ms, load_rps."""

    @property
    def stop_reason(self) -> str:
        """Why the whole run must end now, after its faults were healed; "" while the run may go on."""

    @property
    def failure(self) -> str:
        """Which of its own processes or threads died, and how; "" while all of them live."""

    def finish(self) -> None:
        """Heal what is still in force and write faults.json. Safe to call twice."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class ProgressObserver(Protocol):
    """Shows the user what happens."""

    def phase(self, name: str, detail: str = "") -> None:
        """A new stretch of the rehearsal begins."""

    def progress(self, progress: Progress, changes: Sequence[FaultChange]) -> None:
        """One second of the run has passed."""

    def note(self, text: str) -> None:
        """Something that the user should see now."""


class RehearsalPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to rehearse, and what the record says of how it was asked for."""

    scenario: Scenario
    command: tuple[str, ...]
    versions: dict[str, str]
    selftest: SelfTestSummary | None = None
    plugins: tuple[PluginVersion, ...] = ()
    reach: Reach = Reach()
    platform: str = DEFAULT_PLATFORM  # FILE:CLASS of the adapter
    journeys: Journeys = Journeys()  # with whole paths
    refused_holds_s: tuple[tuple[float, float], ...] = ()  # see `harness.swarm.messaging.protocol.SwarmSpec`
    confirmed_hosts: tuple[str, ...] = ()  # hosts beyond this machine, see harness.stack.allowed


def rehearse(
    plan: RehearsalPlan,
    paths: RunPaths,
    stack: Stack,
    conduct: Callable[[Addresses, RunPaths], FaultConductor],
    observer: ProgressObserver,
) -> None:
    """Run the rehearsal and write the record into `paths`.

    Raises GatecrashError, in every case after healing the faults. An error of our own becomes NoVerdict; so does, once
    the platform was up, a machine that lacks something.
    """
    told = plan.command, plan.versions, stack.name, plan.selftest, plan.plugins
    journal = RunJournal(paths, plan.scenario, *told)
    try:
        _run(plan, paths, stack, conduct, observer, journal)
    except KeyboardInterrupt:
        _note_end(journal, "was interrupted by the user before the end")
        raise Interrupted(
            "interrupted: faults healed, processes stopped", hint=f"what was recorded is in {paths.root}"
        ) from None
    except GatecrashError as error:
        _note_end(journal, f"ended early: {error}")
        if isinstance(error, EnvironmentProblem) and journal.has_begun:
            raise NoVerdict(error.message, hint=error.hint) from error
        raise
    except Exception as error:
        log = paths.logs / "gatecrash.log"
        with suppress(OSError):
            log.write_text(traceback.format_exc())
        broke = NoVerdict(f"gatecrash itself broke: {type(error).__name__}: {error}", hint=f"see {log}")
        _note_end(journal, f"ended early: {broke}")
        raise broke from error
    finally:
        paths.remove_partial()  # of a process that was killed while it finished a table: its rows are in the stream


def _note_end(journal: RunJournal, text: str) -> None:
    """Note why the run ended, even when the disk is full."""
    with suppress(EnvironmentProblem):
        journal.ended_early(text)


def _run(
    plan: RehearsalPlan,
    paths: RunPaths,
    stack: Stack,
    conduct: Callable[[Addresses, RunPaths], FaultConductor],
    observer: ProgressObserver,
    journal: RunJournal,
) -> None:
    scenario = plan.scenario
    observer.phase("raise", f"{stack.name} stack")
    with shielded(stack):
        own = plan.reach.listen  # the stack itself listens at this address
        require_allowed(reached(stack.addresses), (*scenario.allow_hosts, own), (*plan.confirmed_hosts, own))
        purchase_acts = 0
        if isinstance(stack, OwnStack):
            if not plan.journeys.locustfile:  # without an adapter nobody knows how to buy
                purchase_acts = prove(stack, scenario.load.visitors, paths, observer.note)
            journal.is_own(stack.platform)
        spec = _spec(plan, paths, stack.addresses, purchase_acts)
        journal.stack_is_up(stack.processes)
        with (
            shielded(SwarmChild(spec, paths)) as swarm,
            shielded(_scraper(stack.addresses, paths)) as scraper,
            shielded(_spans_received(scenario, paths, journal)),
            shielded(conduct(stack.addresses, paths)) as conductor,  # innermost: on any way out, heal first
        ):
            conductor.preflight()
            load = scenario.load
            observer.phase("arm", load.who)
            journal.phase("arm")
            if plan.reach.web_port is not None:
                observer.note(f"Locust's own pages: http://127.0.0.1:{plan.reach.web_port}")
            arms_within_s = load.arm_timeout_s + _STARTS_WITHIN_S + spec.baseline_within_s
            if plan.reach.remote_workers:
                waiting = swarm.expect(Waiting, _STARTS_WITHIN_S)
                observer.note(f"waiting for {waiting.remote_workers}: {invitation(spec, waiting.port)}")
                arms_within_s += JOIN_TIMEOUT_S
            if spec.baseline_within_s:
                _require_baseline(swarm.expect(Baseline, arms_within_s + _STARTS_WITHIN_S))
            armed = _await_armed(swarm, arms_within_s, observer)
            _require_armed(armed)
            _await_pre_queue(stack.addresses.opens_at_s, scenario, observer)
            swarm.tell(ReleaseCommand())
            release = swarm.expect(Release, _T0_WITHIN_S)
            scraper.start(release.t0_monotonic_s)
            conductor.start(release.t0_monotonic_s)
            journal.released(release)
            observer.phase("release", f"{armed.armed:,} users at {_clock(release.t0_wall_s)}")
            finished = _observe(scenario, swarm, stack, scraper, conductor, observer, journal)
            with uninterrupted():
                conductor.finish()
            _require_sound(scraper, conductor)
            journal.finished(finished)
            observer.phase("settle", _settling(scenario))
            journal.phase("settle")
            swarm.tell(Settle())
            settled = swarm.expect(Settled, spec.at_rest_within_s * 3 + _FINISHES_WITHIN_S)
            journal.settled(settled)
            _notice_deaths(stack, journal, observer)
        for anomaly in scraper.anomalies():
            journal.note(anomaly)
        observer.phase("take down", f"{stack.name} stack")
    _keep_spans(paths, release, scenario.load, journal)
    journal.complete()


@contextmanager
def _spans_received(scenario: Scenario, paths: RunPaths, journal: RunJournal) -> Iterator[None]:
    """Receive spans of a platform of the user's own, where the scenario says so; the last ones come after the end."""
    traces = scenario.platform.traces if scenario.platform else None
    if traces is None:
        yield
        return
    load = scenario.load
    users = {"fan": load.fans, "bot": load.bots, "lurker": load.lurkers, "spectator": load.spectators}
    own = Tracer(scenario.seed, load.traced_ratio(own_platform=True)).traces_of(users)
    host, port = socket_of(traces.listen)
    with TraceReceiver(host, port, spans_file(paths.logs, "otlp"), own.__contains__) as receiver:
        yield
        until_s = time.monotonic() + traces.wait_s
        while time.monotonic() < until_s:
            time.sleep(_TICK_S)
            give_way()
    for anomaly in receiver.anomalies():
        journal.note(anomaly)


def _keep_spans(paths: RunPaths, release: Release, load: Load, journal: RunJournal) -> None:
    """Keep the spans of the journeys that are worth it. The stack is down."""
    faults = msgspec.json.decode(paths.faults.read_bytes(), type=FaultsDocument).faults if paths.faults.exists() else ()
    summary, anomalies = collect_spans(paths, release.t0_wall_s, load.trace_ratio, fault_windows(faults))
    journal.traced(summary)
    for anomaly in anomalies:
        journal.note(anomaly)


def _spec(plan: RehearsalPlan, paths: RunPaths, addresses: Addresses, purchase_acts: int) -> SwarmSpec:
    scenario = plan.scenario
    own, scripted = addresses.own, bool(plan.journeys.locustfile)
    return SwarmSpec(
        run_dir=str(paths.root),
        addresses=msgspec.structs.replace(
            addresses, people_from=scenario.load.people_from, answer_timeout_s=scenario.load.answer_timeout_s
        ),
        scenario=scenario,
        seed=scenario.seed,
        purchase_acts=purchase_acts,
        platform=plan.platform,
        journeys=plan.journeys,
        baseline_within_s=0.0 if own is None or scripted else 2 * own.rules.at_rest_within_s,
        workers=scenario.load.workers,
        reach=plan.reach,
        refused_holds_s=plan.refused_holds_s,
    )


def _scraper(addresses: Addresses, paths: RunPaths) -> Scraper:
    own = addresses.own
    if own is None:
        return Scraper(addresses.metrics, paths)
    return Scraper(addresses.metrics, paths, metrics_headers(own), verify=trusted(own))


def _require_baseline(baseline: Baseline) -> None:
    if baseline.problem:
        raise InputError(baseline.problem, key="platform.baseline", hint="nobody was released")


def _await_armed(swarm: SwarmChild, within_s: float, observer: ProgressObserver) -> Armed:
    """Until everybody is armed, or the swarm has given up. Raises NoVerdict when it says nothing for so long, and for
    longer while many workers start."""
    heard_s = told_s = time.monotonic()
    silent_s, ready = within_s + _MANY_START_WITHIN_S, 0
    while (left_s := heard_s + silent_s - time.monotonic()) > 0:
        event = swarm.next(left_s)
        if isinstance(event, Armed):
            return event
        if isinstance(event, Arming):
            heard_s, silent_s = time.monotonic(), within_s
            if event.ready > ready and time.monotonic() - told_s > _TELLS_EVERY_S:
                told_s, ready = time.monotonic(), event.ready
                observer.note(f"{event.ready:,} of {event.asked:,} users are ready")
    raise NoVerdict(f"the load generator did not say for {silent_s:.0f} s how far it is", hint="see the swarm's log")


def _require_armed(armed: Armed) -> None:
    if armed.armed < armed.asked:
        why = ", ".join(f"{text}: {count}" for text, count in armed.failures.items()) or "no reason was given"
        raise NoVerdict(
            f"only {armed.armed:,} of {armed.asked:,} users could be armed ({why})",
            hint="raise load.arm_timeout_s, or ask for fewer users; see `gatecrash doctor`",
        )


def _await_pre_queue(opens_at_s: float, scenario: Scenario, observer: ProgressObserver) -> None:
    """Wait until the pre-queue may open: then T0 lies before the opening, whose time the platform got when it was
    raised.
    """
    if not opens_at_s:
        return
    until_s = opens_at_s - scenario.on_sale.pre_queue_s - NOTICE_S - time.time()
    if until_s < 0:
        raise NoVerdict(
            f"the users were armed {-until_s:.1f} s too late for the opening that the platform was told",
            hint="raise on_sale.opens_after_s",
        )
    observer.note(f"the pre-queue begins in {until_s + NOTICE_S:.0f} s")
    time.sleep(until_s)


def _settling(scenario: Scenario) -> str:
    """What is done at rest, for people."""
    return "final reads" if scenario.platform else "final reads, then every unsold seat that was held is held again"


def _observe(
    scenario: Scenario,
    swarm: SwarmChild,
    stack: Stack,
    scraper: Scraper,
    conductor: FaultConductor,
    observer: ProgressObserver,
    journal: RunJournal,
) -> Finished:
    """Follow the run until the swarm says that it is over.

    The swarm's silence is counted in looks, not by the clock, because this process cannot hear the swarm while it
    stands still itself.
    """
    deadline = time.monotonic() + _T0_WITHIN_S + scenario.duration_s + _FINISHES_WITHIN_S + END_MOST_S
    silent_s = 0.0
    while time.monotonic() < deadline and silent_s < _SILENT_MAX_S:
        event = swarm.next(_TICK_S)
        silent_s = silent_s + _TICK_S if event is None else 0.0
        _notice_deaths(stack, journal, observer)
        _require_sound(scraper, conductor)
        if why := conductor.stop_reason:
            raise Interrupted(f"{why}: faults healed, processes stopped", hint=f"the record is in {journal.paths.root}")
        if isinstance(event, Progress):
            observer.progress(event, conductor.changes())
            p99_ms = {} if event.p99_ms is None else {"load_p99_ms": event.p99_ms}
            conductor.saw({"load_rps": event.rps, **p99_ms})
        elif isinstance(event, Finished):
            return event
    hangs = f"said nothing for {silent_s:.0f} s" if silent_s >= _SILENT_MAX_S else "did not finish in time"
    raise NoVerdict(f"the load generator's master process {hangs}", hint=f"see {journal.paths.logs}")


def _notice_deaths(stack: Stack, journal: RunJournal, observer: ProgressObserver) -> None:
    """Note deaths. Raises NoVerdict when the fault proxy died: without it no part of the platform can be reached."""
    for death in stack.deaths():
        journal.note(death)
        observer.note(death.text)
        if death.source in _FAULT_PROXIES:
            raise NoVerdict(death.text, hint=f"see {journal.paths.logs}")


def _require_sound(scraper: Scraper, conductor: FaultConductor) -> None:
    """Raises NoVerdict when one of our processes or threads died without which the run cannot be judged."""
    if failure := scraper.failure or conductor.failure:
        raise NoVerdict(failure, hint="rehearse again")


def _clock(wall_s: float) -> str:
    return (datetime.fromtimestamp(wall_s, UTC) + timedelta(microseconds=500)).strftime("%H:%M:%S.%f")[:-3] + " UTC"
