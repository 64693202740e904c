"""The swarm's lifecycle, in its master process: start workers → dispatch → arm → release → observe → end → settle.

Each stage waits for every worker that still lives, with a deadline. A worker that dies is noted as lost, what it had on
its disk is taken over, and its users are gone for good.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Final, TypeVar

import gevent
import locust
from gevent.queue import Queue
from locust.env import Environment
from locust.rpc import Message

from harness.errors import EnvironmentProblem, NoVerdict
from harness.record.paths import RunPaths
from harness.record.schema import LoadSummary
from harness.swarm import messages, web
from harness.swarm.collector import Collector
from harness.swarm.door import Door
from harness.swarm.master import OnSaleMaster, WorkerProcesses, reach_locally, spare_cores
from harness.swarm.messages import MESSAGE_TYPE
from harness.swarm.plan import all_plans, digest
from harness.swarm.protocol import (
    JOIN_TIMEOUT_S,
    Armed,
    Command,
    Event,
    Finished,
    Progress,
    Quit,
    Release,
    ReleaseCommand,
    Settle,
    Settled,
    Stop,
    SwarmSpec,
    Waiting,
)
from harness.swarm.summary import WorkerFacts, load_summary
from harness.swarm.users import user_classes

M = TypeVar("M", messages.Hello, messages.Spawned, messages.UsersArmed, messages.Ended, messages.SettleDone)

_NOTICE_S: Final = 2.0  # T0 is announced so long ahead
_LEAD_S: Final = 1.0  # and taken by every worker so long ahead, or it is moved
_T0_TRIES: Final = 4
_START_TIMEOUT_S: Final = 30.0
_SPAWN_TIMEOUT_S: Final = 30.0
_END_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.02
_TICK_S: Final = 1.0

_log = logging.getLogger(__name__)


class Swarm:
    """One rehearsal's load. `tell` sends events to the conductor; `commands` holds what the conductor asks."""

    def __init__(self, spec: SwarmSpec, spec_file: Path, tell: Callable[[Event], None], commands: Queue) -> None:
        self._spec = spec
        self._spec_file = spec_file
        self._tell = tell
        self._commands = commands
        self._collector = Collector(RunPaths(root=Path(spec.run_dir)))
        environment = Environment(user_classes=user_classes(spec), events=locust.events)
        reach = spec.reach
        self._runner = OnSaleMaster(environment, reach.listen, reach.port + 1 if reach.port else 0)
        environment.runner = self._runner
        if reach.web_port is not None:
            web.serve(environment, reach.web_port)
        self._runner.register_message(MESSAGE_TYPE, self._on_message)
        self._workers: dict[int, WorkerFacts] = {}
        self._clients: dict[int, str] = {}
        self._said: dict[type, dict[int, object]] = {}
        self._beats: dict[int, messages.Beat] = {}
        self._notes: list[str] = []
        self._capabilities: tuple[str, ...] = ()
        self._processes: WorkerProcesses | None = None
        self._door: Door | None = None

    def run(self) -> None:
        """The whole lifecycle, as the commands ask for it. Raises GatecrashError."""
        try:
            self._start_workers()
            self._arm()
            if isinstance(self._await(ReleaseCommand, Stop, Quit), ReleaseCommand):
                self._release_and_observe()
                self._end()
                if isinstance(self._await(Settle, Quit), Settle):
                    self._settle()
                    self._await(Quit)
        finally:
            self._quit()

    def _await(self, *kinds: type[Command]) -> Command:
        """The next command of one of these kinds, dropping others: a late `stop` finds nothing to stop."""
        while True:
            command: Command = self._commands.get()
            if isinstance(command, kinds):
                return command

    def _start_workers(self) -> None:
        own = self._spec.workers or spare_cores()
        reach = self._spec.reach
        self._processes = WorkerProcesses(self._spec_file, reach_locally(reach.listen), self._runner.port, own)
        if reach.remote_workers:
            self._door = Door(self._spec, own + 1, self._runner.port)
            self._tell(Waiting(port=self._door.port, remote_workers=reach.remote_workers))
        count = own + reach.remote_workers
        start_timeout_s = JOIN_TIMEOUT_S if reach.remote_workers else _START_TIMEOUT_S
        hellos = self._collect(messages.Hello, set(range(1, count + 1)), start_timeout_s)
        if self._door:
            self._door.close("the rehearsal has begun without this worker")
        if len(hellos) < count:
            missing = count - len(hellos)
            raise EnvironmentProblem(
                f"{missing} of {count} load workers did not start", hint="the reason is above in this log"
            )
        for number, hello in sorted(hellos.items()):
            self._workers[number] = WorkerFacts(number=number, host=hello.host)
            self._clients[number] = hello.client_id
        self._capabilities = hellos[1].capabilities  # of this machine, as it also settles

    def _arm(self) -> None:
        load = self._spec.scenario.load
        asked = load.users
        self._runner.start(asked, spawn_rate=asked)
        spawned = self._collect(messages.Spawned, self._alive(), _SPAWN_TIMEOUT_S)
        next_user: Counter[str] = Counter()
        for number, said in sorted(spawned.items()):
            self._say(number, messages.Assign(first_user={kind: next_user[kind] for kind in said.users}))
            next_user.update(said.users)
        armed = self._collect(messages.UsersArmed, set(spawned), load.arm_timeout_s)
        failures: Counter[str] = Counter()
        for number, answer in armed.items():
            facts = self._workers[number]
            facts.armed = answer.armed
            facts.clock_offset_s, facts.clock_uncertainty_s = answer.clock_offset_s, answer.clock_uncertainty_s
            failures.update(answer.failures)
        ready = sum(facts.armed for facts in self._workers.values())
        for number in self._workers.keys() - armed.keys():
            users = sum(spawned[number].users.values()) if number in spawned else 0
            what = f"silent for {load.arm_timeout_s:g} s" if users else "never spawned its users"
            failures[f"worker {number} on {self._workers[number].host}: {what}"] = users
        if late := asked - ready - failures.total():
            failures["given to no worker"] = late
        self._tell(Armed(armed=ready, asked=asked, failures=dict(failures)))

    def _release_and_observe(self) -> None:
        release = self._announce()
        t0_s = release.t0_master_s
        self._tell(Release(t0_monotonic_s=t0_s, t0_wall_s=release.t0_wall_s))
        end_s = t0_s + self._spec.scenario.duration_s
        next_tick_s = t0_s
        while (now_s := monotonic()) < end_s and self._alive():
            if now_s >= next_tick_s:
                next_tick_s += _TICK_S
                self._notice_deaths()
                self._tell(self._progress(now_s - t0_s))
            try:
                command = self._commands.get(timeout=max(0.0, min(next_tick_s, end_s) - monotonic()))
            except gevent.queue.Empty:
                continue
            if isinstance(command, Stop | Quit):
                if isinstance(command, Quit):
                    self._commands.put(command)
                return

    def _announce(self) -> messages.ReleaseAt:
        """A T0 that every worker has taken; moved when one is too slow. Raises NoVerdict when that does not help."""
        late: set[int] = set()
        for _ in range(_T0_TRIES):
            t0_s = monotonic() + _NOTICE_S
            release = messages.ReleaseAt(t0_master_s=t0_s, t0_wall_s=time.time() + t0_s - monotonic())
            for number in self._alive():
                self._say(number, release)
            late = self._without(release)
            if not late:
                return release
            self._notes.append(f"T0 was moved: {self._names(late)} had not taken it {_LEAD_S:g} s ahead")
            _log.warning("%s", self._notes[-1])
        for number in self._alive():
            self._say(number, messages.Withdraw())
        raise NoVerdict(f"nobody was released: {self._names(late)} never took T0", hint="see the swarm's log")

    def _without(self, release: messages.ReleaseAt) -> set[int]:
        """The workers that have not taken this T0 in time. Raises NoVerdict when one has died before it."""
        answers: dict[int, messages.TookT0] = self._said.setdefault(messages.TookT0, {})  # type: ignore[assignment]
        took: set[int] = set()
        while (waiting := self._alive() - took) and monotonic() < release.t0_master_s - _LEAD_S:
            gevent.sleep(_POLL_S)
            if died := self._notice_deaths():
                raise NoVerdict(f"nobody was released: {self._names(died)} died before T0", hint="see the swarm's log")
            took = {n for n in waiting | took if n in answers and answers[n].t0_master_s == release.t0_master_s}
        for number in took:
            facts, answer = self._workers[number], answers[number]
            facts.clock_offset_s, facts.clock_uncertainty_s = answer.clock_offset_s, answer.clock_uncertainty_s
        return waiting

    def _names(self, numbers: set[int]) -> str:
        return ", ".join(f"worker {number} on {self._workers[number].host}" for number in sorted(numbers))

    def _progress(self, t_s: float) -> Progress:
        steps: Counter[str] = Counter()
        for number in self._alive():
            if number in self._beats:
                steps.update(self._beats[number].users_by_step)
        rps, p99_ms = self._collector.rate_and_p99()
        return Progress(
            t_s=t_s,
            users_by_step=dict(steps),
            requests=self._collector.requests,
            rps=rps,
            p99_ms=p99_ms,
            outcomes=dict(self._collector.outcomes),
            workers_lost=sum(1 for facts in self._workers.values() if facts.lost),
        )

    def _end(self) -> None:
        for number in self._alive():
            self._say(number, messages.End())
        ended = self._collect(messages.Ended, self._alive(), _END_TIMEOUT_S)
        for number, said in ended.items():
            facts = self._workers[number]
            facts.requests_sent = said.requests_sent
            facts.first_sends_s, facts.followers = said.first_sends_s, said.followers
            facts.unfinished = said.unfinished
            self._notes.extend(said.notes)
            self._await_batches(number, said.batches)
        load = self._summary()
        if load.condensed:
            self._notes.append(
                f"{load.condensed:,} of {load.samples_recorded:,} requests are in the record as per-second histograms: "
                f"more than {self._spec.scenario.load.rows_waiting_max:,} rows were waiting in a worker"
            )
        self._tell(
            Finished(
                load=load,
                capabilities=self._capabilities,
                journey_digest=digest(all_plans(self._spec.scenario.load, self._spec.seed)),
                clock_offsets_ms={f"worker-{n}": facts.clock_offset_s * 1000 for n, facts in self._workers.items()},
                notes=tuple(self._notes),
            )
        )

    def _settle(self) -> None:
        alive = self._alive()
        if not alive:
            raise NoVerdict("no load worker is left to read the state at rest", hint="see the swarm's log")
        number = min(alive)
        timeout_s = self._spec.scenario.settle_timeout_s
        self._say(
            number,
            messages.SettleNow(
                acked=tuple(self._collector.acked.values()),
                seats_held=tuple(sorted(self._collector.seats_held)),
                timeout_s=timeout_s,
            ),
        )
        said = self._collect(messages.SettleDone, {number}, 2 * timeout_s + _END_TIMEOUT_S).get(number)
        if said is None:
            raise NoVerdict("the state at rest could not be read", hint="see the swarm's log")
        self._workers[number].requests_sent = said.requests_sent
        self._await_batches(number, said.batches)
        for table in said.tables:
            self._collector.ensure(table)
        summary = self._summary()
        self._collector.finish()
        self._tell(Settled(load=summary, at_rest=said.at_rest, seat_map=said.seat_map, notes=said.notes))

    def _summary(self) -> LoadSummary:
        for number, facts in self._workers.items():
            tally = self._collector.tally(number)
            facts.samples_recorded, facts.exhausted = tally.samples, tally.exhausted
            facts.condensed = tally.condensed
            facts.requests_sent = max(facts.requests_sent, self._collector.sent_by(number))
        return load_summary(self._spec.scenario.load, list(self._workers.values()))

    def _await_batches(self, number: int, batches: dict[str, int]) -> None:
        deadline_s = monotonic() + _END_TIMEOUT_S
        while not self._collector.has_all(number, batches) and monotonic() < deadline_s:
            gevent.sleep(_POLL_S)
        if not self._collector.has_all(number, batches):
            self._collector.recover(number)

    def _collect(self, kind: type[M], workers: set[int], timeout_s: float) -> dict[int, M]:
        """What each of these workers says of that kind, without those that die or are too late."""
        deadline_s = monotonic() + timeout_s
        answers: dict[int, M] = self._said.setdefault(kind, {})  # type: ignore[assignment]
        while (waiting := workers - answers.keys()) and monotonic() < deadline_s:
            gevent.sleep(_POLL_S)
            workers = workers - self._notice_deaths() if waiting else workers
        return {number: answers[number] for number in workers if number in answers}

    def _notice_deaths(self) -> set[int]:
        """Workers that have died since the last look; what is on their disks is taken over."""
        deaths: dict[int, str] = {}
        for number, code in (self._processes.deaths() if self._processes else {}).items():
            recovered = self._collector.recover(number)
            loss = self._collector.loss(number)
            deaths[number] = f"died (exit code {code}); {recovered:,} rows were taken from its disk; {loss}"
        for number, why in (self._door.losses() if self._door else {}).items():
            deaths[number] = f"was lost: {why}; what it had not sent is on its machine"
        for number, why in deaths.items():
            self._notes.append(f"worker {number} {why}")
            if number in self._workers:
                facts = self._workers[number]
                facts.lost = True
                if number in self._beats:
                    facts.requests_sent = max(facts.requests_sent, self._beats[number].requests_sent)
        return set(deaths)

    def _alive(self) -> set[int]:
        return {number for number, facts in self._workers.items() if not facts.lost}

    def _say(self, number: int, message: messages.FromMaster) -> None:
        self._runner.send_message(MESSAGE_TYPE, messages.pack(message), self._clients[number])  # type: ignore[arg-type]

    def _on_message(self, environment: Environment, msg: Message) -> None:  # noqa: ARG002 - Locust names them
        message = messages.from_worker(msg.data)
        match message:
            case messages.Ping():
                pong = messages.Pong(sent_s=message.sent_s, master_s=monotonic())
                self._say(message.worker, pong)
            case messages.Batch():
                self._collector.add(message)
            case messages.Beat():
                self._beats[message.worker] = message
            case _:
                self._said.setdefault(type(message), {})[message.worker] = message

    def _quit(self) -> None:
        self._runner.quit()
        if self._processes is not None:
            self._processes.end()
        if self._door is not None:
            self._door.end()
        self._collector.finish()
