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
from typing import Final

import gevent
from gevent.queue import Queue

from harness.errors import NoVerdict
from harness.platform import AckedOrder
from harness.record.paths import RunPaths
from harness.record.schema import LoadSummary
from harness.swarm.control.collector import Collector
from harness.swarm.control.summary import load_summary
from harness.swarm.control.workforce import POLL_S, Workforce
from harness.swarm.messaging import messages
from harness.swarm.messaging.protocol import (
    END_MOST_S,
    NOTICE_S,
    Armed,
    Arming,
    Baseline,
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
from harness.swarm.users.plan import all_plans, digest
from harness.swarm.users.user import ARMED

_DIGEST_RESTS_S: Final = 0.02  # now and then: of a crowd it takes a minute, in which the master must hear and be heard
_LEAD_S: Final = 1.0  # and taken by every worker so long ahead, or it is moved
_TRIES: Final = 3

_log = logging.getLogger(__name__)


def announce(workforce: Workforce) -> messages.ReleaseAt:
    """A T0 that every worker has taken. Raises NoVerdict when one never takes it, or dies before it.

    Each further try leaves twice the time: workers with very many users are slow to answer.
    """
    late: set[int] = set()
    for nth in range(_TRIES):
        t0_s = monotonic() + NOTICE_S * 2**nth
        release = messages.ReleaseAt(t0_master_s=t0_s, t0_wall_s=time.time() + t0_s - monotonic())
        workforce.say_all(release)
        late = _without(workforce, release)
        if not late:
            return release
        note = f"T0 was moved: {workforce.names(late)} had not taken it {_LEAD_S:g} s ahead"
        workforce.notes.append(note)
        _log.warning("%s", note)
    workforce.say_all(messages.Withdraw())
    raise NoVerdict(f"nobody was released: {workforce.names(late)} never took T0", hint="see the swarm's log")


def _without(workforce: Workforce, release: messages.ReleaseAt) -> set[int]:
    """The workers that have not taken this T0 in time. Raises NoVerdict when one has died before it."""
    answers = workforce.t0s_taken
    took: set[int] = set()
    while (waiting := workforce.alive - took) and monotonic() < release.t0_master_s - _LEAD_S:
        gevent.sleep(POLL_S)
        if died := workforce.notice_deaths():
            raise NoVerdict(f"nobody was released: {workforce.names(died)} died before T0", hint="see the swarm's log")
        took = {n for n in waiting | took if n in answers and answers[n].t0_master_s == release.t0_master_s}
    for number in took:
        facts, answer = workforce.facts[number], answers[number]
        facts.clock_offset_s, facts.clock_uncertainty_s = answer.clock_offset_s, answer.clock_uncertainty_s
    return waiting


_SPAWN_TIMEOUT_S: Final = 30.0
_ARM_MOST_S: Final = 900.0
_END_TIMEOUT_S: Final = 10.0
_TICK_S: Final = 1.0


class Swarm:
    """One rehearsal's load. `tell` sends events to the parent process; `commands` holds what the parent asks for."""

    def __init__(self, spec: SwarmSpec, tell: Callable[[Event], None], commands: Queue) -> None:
        self._spec = spec
        self._tell = tell
        self._commands = commands
        self._collector = Collector(RunPaths(root=Path(spec.run_dir)))
        self._workforce = Workforce(spec, self._collector, self._is_to_quit)
        self._capabilities: tuple[str, ...] = ()
        self._told_s = monotonic()
        self._is_over = False

    def run(self) -> None:
        """The whole lifecycle, as the commands ask for it. Raises GatecrashError."""
        try:
            self._capabilities = self._workforce.start(self._invite)
            self._read_baseline()
            self._arm()
            if isinstance(self._await(ReleaseCommand, Stop, Quit), ReleaseCommand):
                self._release_and_observe()
                self._end()
                if isinstance(self._await(Settle, Quit), Settle):
                    self._settle()
                    self._await(Quit)
        finally:
            self._workforce.end()
            self._collector.finish()

    def _is_to_quit(self) -> bool:
        """Before T0 at once; after it, in order."""
        return self._workforce.t0_s is None and any(isinstance(command, Quit) for command in self._commands.queue)

    def _await(self, *kinds: type[Command]) -> Command:
        """The next command of one of these kinds, dropping others: a late `stop` finds nothing to stop."""
        while True:
            command: Command = self._commands.get()
            if isinstance(command, kinds):
                return command

    def _invite(self, port: int) -> None:
        self._tell(Waiting(port=port, remote_workers=self._spec.reach.remote_workers))

    def _read_baseline(self) -> None:
        """Before anybody is armed: connections that wait would be closed meanwhile."""
        within_s = self._spec.baseline_within_s
        if not within_s:
            return
        first = min(self._workforce.alive)
        self._workforce.say(first, messages.ReadBaseline(timeout_s=within_s / 2))
        said = self._workforce.collect(messages.BaselineDone, {first}, within_s + _END_TIMEOUT_S).get(first)
        if said is None:
            self._tell(Baseline(problem=f"what was sold before could not be read within {within_s:g} s"))
            return
        for table in said.tables:
            self._collector.ensure(table)
        self._tell(Baseline(problem=said.problem))

    def _arm(self) -> None:
        load, workforce = self._spec.scenario.load, self._workforce
        self._digest = gevent.spawn(digest, all_plans(load, self._spec.seed), self._rest)
        asked = load.users
        workforce.dispatch(asked)
        spawned = workforce.collect(messages.Spawned, workforce.alive, _SPAWN_TIMEOUT_S, self._arming)
        workforce.assign(spawned)
        armed = workforce.collect(messages.UsersArmed, set(spawned), load.arm_timeout_s, self._arming, _ARM_MOST_S)
        failures: Counter[str] = Counter()
        for number, answer in armed.items():
            facts = workforce.facts[number]
            facts.armed = answer.armed
            facts.clock_offset_s, facts.clock_uncertainty_s = answer.clock_offset_s, answer.clock_uncertainty_s
            failures.update(answer.failures)
        ready = sum(facts.armed for facts in workforce.facts.values())
        for number in workforce.facts.keys() - armed.keys():
            users = sum(spawned[number].users.values()) if number in spawned else 0
            what = f"silent for {load.arm_timeout_s:g} s" if users else "never spawned its users"
            failures[f"{workforce.names({number})}: {what}"] = users
        if late := asked - ready - failures.total():
            failures["given to no worker"] = late
        self._tell(Armed(armed=ready, asked=asked, failures=dict(failures)))

    def _arming(self, workers: set[int]) -> object:
        """What changes while these workers get their users ready, some thousands of them without a pause; the parent
        hears now and then how many are."""
        steps = self._workforce.users_by_step
        ready = steps.get(ARMED, 0)
        self._each_second(lambda _: Arming(ready=ready, asked=self._spec.scenario.load.users))
        return sum(steps.values()), ready, self._workforce.work_done(workers)

    def _release_and_observe(self) -> None:
        release = announce(self._workforce)
        self._workforce.t0_s = t0_s = release.t0_master_s
        self._tell(Release(t0_monotonic_s=t0_s, t0_wall_s=release.t0_wall_s))
        end_s = t0_s + self._spec.scenario.duration_s
        next_tick_s = t0_s
        while (now_s := monotonic()) < end_s and self._workforce.alive:
            if now_s >= next_tick_s:
                next_tick_s += _TICK_S
                self._workforce.notice_deaths()
                self._tell(self._progress(now_s - t0_s))
            try:
                command = self._commands.get(timeout=max(0.0, min(next_tick_s, end_s) - monotonic()))
            except gevent.queue.Empty:
                continue
            if isinstance(command, Stop | Quit):
                if isinstance(command, Quit):
                    self._commands.put(command)
                return

    def _progress(self, t_s: float) -> Progress:
        rps, p99_ms = self._collector.rate_and_p99()
        return Progress(
            t_s=t_s,
            users_by_step=self._workforce.users_by_step,
            requests=self._collector.requests,
            rps=rps,
            p99_ms=p99_ms,
            outcomes=dict(self._collector.outcomes),
            workers_lost=sum(1 for facts in self._workforce.facts.values() if facts.lost),
        )

    def _ending(self, workers: set[int]) -> object:
        """What changes while these workers end their journeys and send their rows; the parent hears of it."""
        self._each_second(lambda now_s: self._progress(now_s - (self._workforce.t0_s or now_s)))
        return self._workforce.work_done(workers)

    def _each_second(self, event: Callable[[float], Event]) -> None:
        """Tell the parent this event of now, unless it was told one in the last second."""
        now_s = monotonic()
        if now_s >= self._told_s + _TICK_S:
            self._told_s = now_s
            self._tell(event(now_s))

    def _rest(self) -> None:
        """While a crowd is served the digest of its plans can wait; afterwards others wait for it."""
        gevent.sleep(0.0 if self._is_over else _DIGEST_RESTS_S)

    def _end(self) -> None:
        workforce, notes = self._workforce, self._workforce.notes
        workforce.say_all(messages.End())
        asked = workforce.alive
        ended = workforce.collect(messages.Ended, asked, _END_TIMEOUT_S, self._ending, END_MOST_S)
        workforce.give_up_silent((asked & workforce.alive) - ended.keys())
        for number, said in ended.items():
            facts = workforce.facts[number]
            facts.requests_sent = said.requests_sent
            facts.first_sends_s, facts.followers = said.first_sends_s, said.followers
            facts.cut, facts.crashes = said.cut, said.crashes
            notes.extend(said.notes)
            workforce.await_batches(number, said.batches, _END_TIMEOUT_S)
        for number in workforce.facts.keys() - ended.keys():
            facts = workforce.facts[number]
            facts.first_sends_s, facts.followers = self._collector.first_sends_s(number)
        notes.extend(self._collector.unwritten.values())
        notes.extend(workforce.notes_of_strangers())
        self._is_over = True
        while not self._digest.ready():
            self._ending(set())
            gevent.sleep(POLL_S)
        load = self._summary()
        if load.summed:
            planned = self._spec.scenario.load
            notes.append(
                f"{load.summed:,} of {load.samples_recorded:,} requests are summed up by the second: of them the users "
                f"and the instants are not known; {planned.whole_users_max:,} of {planned.users:,} users are recorded "
                "request by request, and what is told of users one by one is told of these"
            )
        self._tell(
            Finished(
                load=load,
                capabilities=self._capabilities,
                journey_digest=self._digest.get(),
                clock_offsets_ms={f"worker-{n}": facts.clock_offset_s * 1000 for n, facts in workforce.facts.items()},
                notes=tuple(notes),
            )
        )

    def _settle(self) -> None:
        alive = self._workforce.alive
        if not alive:
            raise NoVerdict("no load worker is left to read the state at rest", hint="see the swarm's log")
        number = min(alive)
        timeout_s = self._spec.at_rest_within_s
        self._workforce.say(
            number,
            messages.SettleNow(
                acked=tuple(self._collector.acked.values()),
                seats_held=tuple(sorted(self._collector.seats_held)),
                timeout_s=timeout_s,
            ),
        )
        said = self._workforce.collect(messages.SettleDone, {number}, 2 * timeout_s + _END_TIMEOUT_S).get(number)
        if said is None:
            raise NoVerdict("the state at rest could not be read", hint="see the swarm's log")
        self._workforce.facts[number].requests_sent = said.requests_sent
        self._workforce.await_batches(number, said.batches, _END_TIMEOUT_S)
        notes = (*said.notes, *self._look_up_elsewhere(number, timeout_s))
        for table in said.tables:
            self._collector.ensure(table)
        summary = self._summary()
        self._collector.finish()
        notes = (*notes, *self._workforce.notes_of_strangers())
        self._tell(
            Settled(
                load=summary,
                at_rest=said.at_rest,
                seat_map=said.seat_map,
                notes=notes,
                foreign_owners=said.foreign_owners,
            )
        )

    def _look_up_elsewhere(self, settler: int, timeout_s: float) -> tuple[str, ...]:
        """Each worker looks up the orders of its own fans; the one that settles also looks up those of lost workers.

        Returns notes.
        """
        if not self._workforce.looks_up_as_fans:  # the worker that settles has looked all up as an operator
            return ()
        alive = self._workforce.alive
        orders: dict[int, list[AckedOrder]] = {}
        for order_id, order in self._collector.acked.items():
            worker = self._collector.acked_by[order_id]
            if worker != settler:
                orders.setdefault(worker if worker in alive else settler, []).append(order)
        for number, acked in orders.items():
            self._workforce.say(number, messages.LookUp(acked=tuple(acked)))
        notes: list[str] = []
        for number, said in self._workforce.collect(messages.LookedUp, set(orders), timeout_s + _END_TIMEOUT_S).items():
            self._workforce.facts[number].requests_sent = said.requests_sent
            self._workforce.await_batches(number, said.batches, _END_TIMEOUT_S)
            notes.extend(said.notes)
        return tuple(notes)

    def _summary(self) -> LoadSummary:
        for number, facts in self._workforce.facts.items():
            tally = self._collector.tally(number)
            facts.samples_recorded, facts.exhausted = tally.samples, tally.exhausted
            facts.summed = tally.summed
            facts.requests_sent = max(facts.requests_sent, self._collector.sent_by(number))
        return load_summary(self._spec.scenario.load, list(self._workforce.facts.values()))
