"""The swarm's workers as their master sees them: started or let in, spoken to, waited for, given up when lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar
from urllib.parse import urlsplit

import gevent
import locust
from flask import Response, request
from locust.env import Environment
from locust.rpc import Message
from locust.stats import stats_history
from locust.web import WebUI

from harness.errors import EnvironmentProblem, ExitCode, GatecrashError, Interrupted, NoVerdict
from harness.processes.machine import workers_here
from harness.processes.source_addresses import require_found
from harness.swarm.control import lost_workers
from harness.swarm.control.collector import Collector
from harness.swarm.control.lost_workers import LastWord, LostWorker
from harness.swarm.control.master import OnSaleMaster, WorkerProcesses
from harness.swarm.control.summary import WorkerFacts
from harness.swarm.joining.server import JoinServer
from harness.swarm.messaging import messages
from harness.swarm.messaging.channel import LOOPBACK, Remote
from harness.swarm.messaging.messages import MESSAGE_TYPE
from harness.swarm.messaging.protocol import JOIN_TIMEOUT_S, Reach, SwarmSpec
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.recording.progress_file import Begun
from harness.swarm.users.classes import user_classes

_LOCAL_NAMES: Final = (LOOPBACK, "localhost", "::1")
_FORBIDDEN: Final = 403
_CONFLICT: Final = 409


def serve_web(environment: Environment, port: int) -> WebUI:
    """Serve Locust's own pages, to watch and not to steer, at this machine's loopback until the process ends. Raises
    OSError when the port is taken."""
    pages = environment.create_web_ui(LOOPBACK, port, delayed_start=True)
    assert pages.app is not None  # noqa: S101 - made by the line above
    pages.app.before_request(_only_watch)
    pages.start()  # type: ignore[no-untyped-call]
    gevent.spawn(stats_history, environment.runner)
    return pages


def _only_watch() -> Response | None:
    """Start, edit and stop are the rehearsal's; so is what Locust would take from a form.

    A page of another site whose name leads here is no page of ours: its browser says which host it asked for.
    """
    if urlsplit(f"//{request.host}").hostname not in _LOCAL_NAMES:
        return Response("this page is shown at 127.0.0.1 only\n", _FORBIDDEN, mimetype="text/plain")
    if request.method == "POST":
        return Response("gatecrash rehearses: this page only shows it\n", _CONFLICT, mimetype="text/plain")
    return None


A = TypeVar(
    "A",
    messages.Hello,
    messages.Spawned,
    messages.UsersArmed,
    messages.Ended,
    messages.SettleDone,
    messages.LookedUp,
    messages.BaselineDone,
)


POLL_S: Final = 0.02
_LOOK_S: Final = 0.5  # so often it is asked how far those are that have not answered
_START_TIMEOUT_S: Final = 120.0  # on a busy machine; those that die are noticed at once


class Workforce:
    """All workers of one swarm. `unwanted` says that nobody waits for them any more: every wait here then ends.

    `facts`: all that is known of each. `notes`: what a reader of the record must know of them.
    """

    def __init__(self, spec: SwarmSpec, collector: Collector, unwanted: Callable[[], bool]) -> None:
        self.facts: dict[int, WorkerFacts] = {}
        self.looks_up_as_fans = False
        self.notes: list[str] = []
        self.t0_s: float | None = None  # on this process's monotonic clock
        self._spec = spec
        self._collector = collector
        self._unwanted = unwanted
        environment = Environment(user_classes=user_classes(spec), events=locust.events)
        reach = spec.reach
        self._run_key = RunKey.parse(reach.key) if reach.remote_workers else None
        self._runner = OnSaleMaster(environment, self._remote(reach))
        environment.runner = self._runner
        if reach.web_port is not None:
            serve_web(environment, reach.web_port)
        self._runner.register_message(MESSAGE_TYPE, self._on_message)
        self._clients: dict[int, str] = {}
        self._said: dict[type, dict[int, object]] = {}
        self._beats: dict[int, tuple[messages.Beat, float]] = {}
        self._users: dict[int, dict[str, tuple[int, int]]] = {}
        self._processes: WorkerProcesses | None = None
        self._exit_codes: dict[int, int] = {}
        self._join_server: JoinServer | None = None
        self._strangers_told = (0, 0)

    def _remote(self, reach: Reach) -> Remote | None:
        """Beside the join server's port, where that one is fixed."""
        if self._run_key is None:
            return None
        return Remote(reach.listen, reach.port + 1 if reach.port else 0, self._run_key)

    def start(self, waiting: Callable[[int], None]) -> tuple[str, ...]:
        """Start this machine's workers and wait for all; `waiting` is told the port when others may join.

        Returns what the platform can show. Raises EnvironmentProblem when some do not come, NoVerdict when they
        were killed or broke.
        """
        reach = self._spec.reach
        own = workers_here(self._spec.workers, self._spec.scenario.load.users, reach.remote_workers)
        channel = self._runner.channel
        keys = {number: channel.key_of(number) for number in range(1, own + 1)}
        self._processes = WorkerProcesses(self._spec, self._runner.port, keys)
        if self._run_key is not None:
            self._join_server = JoinServer(self._spec, own + 1, self._runner.remote_port, channel.key_of)
            waiting(self._join_server.port)
        count = own + reach.remote_workers
        start_timeout_s = JOIN_TIMEOUT_S if reach.remote_workers else _START_TIMEOUT_S
        hellos = self.collect(messages.Hello, set(range(1, count + 1)), start_timeout_s)
        if self._join_server:
            self._join_server.close("the rehearsal has begun without this worker")
        if len(hellos) < count:
            raise self._not_started(set(range(1, count + 1)) - hellos.keys(), count)
        for number, hello in sorted(hellos.items()):
            self.facts[number] = WorkerFacts(number=number, host=hello.host)
            self._clients[number] = hello.client_id
        require_found(self._spec.scenario.load.source_addresses, (one.source_addresses for one in hellos.values()))
        self.looks_up_as_fans = hellos[1].looks_up_as_fans
        return hellos[1].capabilities  # of this machine, as it also settles

    def _not_started(self, missing: set[int], count: int) -> GatecrashError:
        """A worker that was killed or broke says nothing of this machine or of what the user wrote."""
        text = f"{len(missing)} of {count} load workers did not start"
        for number in sorted(missing & self._exit_codes.keys()):
            code = self._exit_codes[number]
            if code != ExitCode.BAD_INPUT:
                how = f"was killed by signal {-code}" if code < 0 else f"broke with exit code {code}"
                return NoVerdict(f"{text}: worker {number} {how}", hint="rehearse again")
        return EnvironmentProblem(text, hint="the reason is above in this log")

    def dispatch(self, users: int) -> None:
        """Have Locust give these users to the workers, once."""
        self._runner.start(users, spawn_rate=users)

    def assign(self, spawned: dict[int, messages.Spawned]) -> None:
        """Tell each worker who its users are, so that every index is given once."""
        next_user: Counter[str] = Counter()
        for number, said in sorted(spawned.items()):
            self._users[number] = {kind: (next_user[kind], count) for kind, count in said.users.items()}
            self.say(number, messages.Assign(first_user={kind: next_user[kind] for kind in said.users}))
            next_user.update(said.users)

    @property
    def alive(self) -> set[int]:
        """The workers that are not lost."""
        return {number for number, facts in self.facts.items() if not facts.lost}

    @property
    def users_by_step(self) -> dict[str, int]:
        """Where the users of the living are, as of the last second."""
        steps: Counter[str] = Counter()
        for number in self.alive & self._beats.keys():
            steps.update(self._beats[number][0].users_by_step)
        return dict(steps)

    def names(self, numbers: set[int]) -> str:
        """In words."""
        return ", ".join(f"worker {number} on {self.facts[number].host}" for number in sorted(numbers))

    def say(self, number: int, message: messages.FromMaster) -> None:
        """Tell one worker."""
        self._runner.send_message(MESSAGE_TYPE, messages.pack(message), self._clients[number])  # type: ignore[arg-type]

    def say_all(self, message: messages.FromMaster) -> None:
        """Tell all that are alive."""
        for number in self.alive:
            self.say(number, message)

    def collect(
        self,
        kind: type[A],
        workers: set[int],
        timeout_s: float,
        progress: Callable[[set[int]], object] = lambda _: None,
        most_s: float = math.inf,
    ) -> dict[int, A]:
        """What each of these workers says of that kind, without those that die or are too late.

        As long as `progress`, of those that have not answered yet, changes, the time to answer begins again, up to
        `most_s` in all. Raises Interrupted when nobody wants to know any more.
        """
        begun_s, seen, look_every_s = monotonic(), progress(workers), min(_LOOK_S, timeout_s / 10)
        deadline_s, last_s, look_s = begun_s + timeout_s, begun_s + most_s, begun_s + look_every_s
        answers: dict[int, A] = self._said.setdefault(kind, {})  # type: ignore[assignment]
        while (waiting := workers - answers.keys()) and monotonic() < deadline_s:
            if self._unwanted():
                raise Interrupted("nobody waits for this swarm any more")
            gevent.sleep(POLL_S)
            workers = workers - self.notice_deaths() if waiting else workers
            if (now_s := monotonic()) < look_s:
                continue
            look_s = now_s + look_every_s
            if (now := progress(waiting)) != seen:
                deadline_s, seen = min(now_s + timeout_s, last_s), now
        return {number: answers[number] for number in workers if number in answers}

    def work_done(self, workers: set[int]) -> tuple[int, int]:
        """A measure of what these have done, those of this machine in steps of half a second of processor time, and of
        what all workers have delivered: it changes while a worker is busy and not lost."""
        cpu_s = self._processes.cpu_s(workers) if self._processes else 0.0
        return int(2 * cpu_s), self._collector.requests

    @property
    def t0s_taken(self) -> dict[int, messages.TookT0]:
        """The last T0 that each worker has taken."""
        return self._said.setdefault(messages.TookT0, {})  # type: ignore[return-value]

    def notice_deaths(self) -> set[int]:
        """Workers that were lost since the last look; what is on the disks of this machine is taken over."""
        lost: dict[int, tuple[str, LastWord | None]] = {}
        for number, code in (self._processes.deaths() if self._processes else {}).items():
            self._exit_codes[number] = code
            recovered = self._collector.recover(number)
            begun = self._collector.progress(number)
            how = f"died (exit code {code}; {recovered:,} rows were taken from its disk)"
            lost[number] = how, LastWord(begun) if begun else None
        for number, farewell in (self._join_server.lost_workers() if self._join_server else {}).items():
            exact = LastWord(farewell.begun) if farewell.begun else self._last_beat(number)
            lost[number] = f"was lost: {farewell.why}", exact
        for number, (how, last_word) in lost.items():
            self._give_up(number, how, last_word)
        return set(lost)

    def give_up_silent(self, numbers: set[int]) -> None:
        """These should have said how they ended, and have not."""
        for number in numbers:
            self._give_up(number, "was lost: it never said how it ended", self._last_beat(number))

    def _give_up(self, number: int, how: str, last_word: LastWord | None) -> None:
        at_s = None if self.t0_s is None else monotonic() - self.t0_s
        recorded, users = self._collector.recorded(number), self._users.get(number, {})
        loss = LostWorker(worker=number, how=how, at_s=at_s, recorded=recorded, last_word=last_word, users=users)
        self.notes.append(lost_workers.in_words(loss))
        if facts := self.facts.get(number):
            facts.lost = True
            begun = last_word.begun.requests if last_word else 0
            facts.requests_sent = max(facts.requests_sent, begun)

    def _last_beat(self, number: int) -> LastWord | None:
        if number not in self._beats or self.t0_s is None:
            return None
        beat, heard_s = self._beats[number]
        return LastWord(Begun(beat.requests_sent, beat.operations_begun), heard_s - self.t0_s)

    def await_batches(self, number: int, batches: dict[str, int], timeout_s: float) -> None:
        """Until all that the worker says it sent is here; what is not, is taken from its disk."""
        deadline_s = monotonic() + timeout_s
        while not self._collector.has_all(number, batches) and monotonic() < deadline_s:
            gevent.sleep(POLL_S)
        if not self._collector.has_all(number, batches):
            self._collector.recover(number)

    def notes_of_strangers(self) -> tuple[str, ...]:
        """How many strangers came since the last call, in words; nothing when none did."""
        refused = self._runner.server.refused + (self._join_server.refused if self._join_server else 0)
        came = self._runner.channel.dropped, refused
        dropped, refused = came[0] - self._strangers_told[0], came[1] - self._strangers_told[1]
        self._strangers_told = came
        notes = (
            f"{dropped:,} message{'s' * (dropped != 1)} on the swarm's port did not carry the run's secret",
            f"{refused:,} connection{'s' * (refused != 1)} to the swarm's ports did not prove the run's key",
        )
        return tuple(note for note, count in zip(notes, (dropped, refused), strict=True) if count)

    def end(self) -> None:
        """Send everybody home; whoever does not go is made to."""
        self._runner.quit()
        if self._processes is not None:
            self._processes.end()
        if self._join_server is not None:
            self._join_server.end()

    def _on_message(self, environment: Environment, msg: Message) -> None:  # noqa: ARG002 - Locust names them
        message = messages.from_worker(msg.data)
        if message.worker != self._runner.channel.worker_of(msg.node_id.encode()):
            self._runner.channel.dropped += 1
            return
        match message:
            case messages.Ping():
                self.say(message.worker, messages.Pong(sent_s=message.sent_s, master_s=monotonic()))
            case messages.Batch():
                self._collector.add(message)
            case messages.Beat():
                self._beats[message.worker] = message, monotonic()
            case _:
                self._said.setdefault(type(message), {})[message.worker] = message
