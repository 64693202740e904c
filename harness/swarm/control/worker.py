"""One worker process: `python -m harness.swarm.control.worker --master HOST:PORT --number N`.

Runs the users that Locust's master dispatches to it, and sends on what they record once a second. It keeps the same
batches on its own disk until the master has finished its tables, so that its death loses at most a second. The first
line on its stdin is a `WorkerStart`.
"""

from __future__ import annotations

import locust  # isort: skip - first: it patches the process for gevent

import argparse
import gc
import logging
import os
import socket
import sys
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Final, NoReturn

import gevent
import pyarrow as pa
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.monkey import get_original
from locust.env import Environment
from locust.rpc import Message
from locust.rpc.zmqrpc import Client
from locust.runners import WorkerRunner
from locust.stats import RequestStats

from harness.errors import EnvironmentProblem, GatecrashError, InputError
from harness.platform import Call, Capability, LooksUpAsFans, LosesAnswers, Person, Platform
from harness.processes.ports import port_range
from harness.processes.source_addresses import addresses_of, share_of
from harness.record.paths import RunPaths
from harness.record.reader import CORE_TABLES
from harness.record.schema import TABLES, CutSummary, Outcome
from harness.record.writer import StreamWriter
from harness.scenario.environment import redacted, secret_values
from harness.swarm.client.connecting import SOURCES
from harness.swarm.control import health
from harness.swarm.control.baseline import Unreadable, read_baseline
from harness.swarm.control.settle import settle
from harness.swarm.control.stopping import stop
from harness.swarm.messaging import messages
from harness.swarm.messaging.channel import LOOPBACK, WorkerSocket
from harness.swarm.messaging.envelope import Envelope, worker_end
from harness.swarm.messaging.messages import MESSAGE_TYPE
from harness.swarm.messaging.protocol import WorkerStart, take_start
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.recording.clock import ClockEstimate, ReleaseInstant, RoundTrip, estimate
from harness.swarm.recording.progress_file import open_progress
from harness.swarm.recording.recorder import STAMP_EVERY, Recorder, prepare_arrow
from harness.swarm.recording.request_event import RequestEvent
from harness.swarm.recording.tracing import Tracer
from harness.swarm.users.barrier import Barrier
from harness.swarm.users.classes import user_classes
from harness.swarm.users.loader import load_class
from harness.swarm.users.locustfile import AllowedHosts, allowed_hosts, extra_headers, record_requests
from harness.swarm.users.plan import whole_feeds, whole_users
from harness.swarm.users.probes import start_probes
from harness.swarm.users.user import RehearsalUser, WorkerContext

_DISCARD: Final = 9  # the port of that service: nothing is sent there
_FLUSH_S: Final = 1.0
_BATCH_ROWS: Final = 4000
_FLUSH_TURNS: Final = 4  # of the loop, at most about so many for all that waits
_QUIET_S: Final = 0.25  # around the release nothing else may run
_PROBES: Final = 1  # the worker with the operator's token, which settles too
_OBSERVERS: Final = 2  # so that more than one feed node is asked
_OBSERVE_S: Final = 0.7
_CLOCK_SAMPLES: Final = 10
_CLOCK_TIMEOUT_S: Final = 30.0  # a round trip; the shortest of them decides
_STOP_SILENCE_S: Final = 5.0  # users who have not ended when nobody has for so long are left alone
_USERS_ALL_STAMPED: Final = 2000  # there is time to ask the kernel for the arrival of every answer
_GARBAGE_THRESHOLDS: Final = (50_000, 20, 50)  # thousands of users are many objects and hardly any garbage
_ARM_LOOK: Final = 0.05  # of the time without progress that ends the arming
_OF_ARM_TIMEOUT: Final = 0.9  # of the time to arm: the master hears who is late before it stops waiting


class OnSaleWorker(WorkerRunner):
    """Locust's worker, which hears nobody but the master of this run, see `channel`."""

    def __init__(
        self, environment: Environment, envelope: Envelope, key: RunKey | None, master_host: str, master_port: int
    ) -> None:
        self._channel = envelope, key
        self._master = master_host, master_port
        environment.stats = RequestStats(use_response_times_cache=False)  # as Locust does for its own workers
        environment.runner = self
        super().__init__(environment, LOOPBACK, _DISCARD)  # Locust's own socket is closed again at once

    @property
    def client(self) -> Client:
        """The socket through which it reaches the master."""
        return self._client

    @client.setter
    def client(self, plain: Client) -> None:
        plain.close(linger=0)  # type: ignore[no-untyped-call]
        self.master_host, self.master_port = self._master
        self._client = WorkerSocket(*self._master, self.client_id, *self._channel)


class Worker:
    """One worker's part in a rehearsal. Its methods are the answers to the master's messages."""

    def __init__(self, start: WorkerStart, number: int, master_host: str, master_port: int) -> None:
        self._spec = spec = start.spec
        self._number = number
        self._environment = Environment(user_classes=user_classes(spec), events=locust.events)
        load = spec.scenario.load
        tracer = Tracer(spec.seed, load.traced_ratio(own_platform=spec.scenario.platform is not None))
        stamp_every = 1 if load.users <= _USERS_ALL_STAMPED else STAMP_EVERY
        scripted = bool(spec.journeys.locustfile)
        told = None if scripted else RequestEvent(self._environment)  # Locust tells us, not we Locust
        whole = whole_feeds(spec.seed, load), whole_users(spec.seed, load)
        self._recorder = Recorder(number, told, tracer, stamp_every, *whole)
        self._sources = _sources(start)
        SOURCES.use(share_of(self._sources, start.number_here, start.workers_here))
        self._platform: Platform = load_class(spec.platform)(spec.addresses, self._recorder)
        if isinstance(self._platform, LosesAnswers):
            self._platform.purchase_acts = spec.purchase_acts
        if spec.scenario.load.bots and not hasattr(self._platform, "bot_session"):
            raise InputError(f"{spec.platform} cannot send bots", hint="write its bot_session, or set load.bots to 0")
        self._barrier = Barrier()
        own = spec.addresses.own
        self._secrets = secret_values(own) if own else ()
        self._worker_context = WorkerContext(
            spec.scenario, spec.seed, self._platform, self._recorder, self._barrier, self._secrets
        )
        if scripted:
            self._worker_context.extra_headers = extra_headers(spec.addresses)
            record_requests(self._environment, self._recorder, self._worker_context.crashes)
            AllowedHosts(allowed_hosts(spec.addresses))
        for user_class in self._environment.user_classes:
            user_class.worker_context = self._worker_context  # type: ignore[attr-defined]
        self._paths = RunPaths(root=Path(spec.run_dir))
        self._recorder.progress = open_progress(self._paths.progress(number))
        self._probes: list[gevent.Greenlet] = []
        self._spools: dict[str, StreamWriter] = {}
        self._unspooled = ""  # why there are no more copies
        self._batches: Counter[str] = Counter()
        self._flushing = BoundedSemaphore()
        self._measuring = BoundedSemaphore()
        self._pong: AsyncResult = AsyncResult()
        envelope = worker_end(bytes.fromhex(start.key), number)
        run_key = RunKey.parse(start.run_key) if start.run_key else None
        self._runner = OnSaleWorker(self._environment, envelope, run_key, master_host, master_port)
        self._runner.register_message(MESSAGE_TYPE, self._on_message)
        self._environment.events.spawning_complete.add_listener(self._on_spawned)  # type: ignore[no-untyped-call]

    def run(self) -> None:
        """Until the master says to quit, or is gone."""
        flushing = gevent.spawn(self._flush_forever)
        flushing.link_exception(_give_up)
        watched = self._recorder, lambda: self._runner.user_count, max(1, len(self._sources))
        gevent.spawn(health.watch, *watched).link_exception(_give_up)
        self._say(
            messages.Hello(
                worker=self._number,
                client_id=self._runner.client_id,
                host=socket.gethostname(),
                pid=os.getpid(),
                capabilities=tuple(sorted(self._platform.capabilities)),
                source_addresses=self._sources,
                looks_up_as_fans=isinstance(self._platform, LooksUpAsFans),
            )
        )
        self._runner.greenlet.join()
        flushing.kill()  # it would find its files closed
        for spool in self._spools.values():
            with suppress(EnvironmentProblem):  # it has been told of
                spool.close()

    def _say(self, message: messages.FromWorker) -> None:
        self._runner.send_message(MESSAGE_TYPE, messages.pack(message))  # type: ignore[arg-type]

    def _on_message(self, environment: Environment, msg: Message) -> None:  # noqa: ARG002 - Locust names them
        message = messages.from_master(msg.data)
        match message:
            case messages.Pong():
                self._pong.set((message, monotonic()))
            case messages.Assign():
                gevent.spawn(self._arm, message).link_exception(_give_up)
            case messages.ReleaseAt():
                gevent.spawn(self._release, message).link_exception(_give_up)
            case messages.Withdraw():
                self._barrier.withdraw()
            case messages.End():
                gevent.spawn(self._end).link_exception(_give_up)
            case messages.ReadBaseline():
                gevent.spawn(self._read_baseline, message).link_exception(_give_up)
            case messages.SettleNow():
                gevent.spawn(self._settle, message).link_exception(_give_up)
            case messages.LookUp():
                gevent.spawn(self._look_up, message).link_exception(_give_up)

    def _on_spawned(self, user_count: int) -> None:  # noqa: ARG002 - Locust names it
        kinds: Counter[str] = Counter()
        for name, count in self._runner.user_classes_count.items():
            kinds[self._environment.user_classes_by_name[name].kind] += count  # type: ignore[attr-defined]
        self._say(messages.Spawned(worker=self._number, users=dict(kinds)))

    def _arm(self, assigned: messages.Assign) -> None:
        expected = self._runner.user_count
        clock = self._measure_clock()
        for table in CORE_TABLES:
            self._spool(table)  # now: users may leave no file descriptor for it later
        if self._number == _PROBES:
            self._probes = start_probes(self._spec, self._worker_context)
        self._barrier.assign(assigned.first_user, expected)
        self._await_armed(_OF_ARM_TIMEOUT * self._spec.scenario.load.arm_timeout_s)
        failures = dict(self._barrier.failures)
        if late := self._barrier.still_arming:
            failures[f"worker {self._number} on {socket.gethostname()}: still connecting"] = late
        self._say(
            messages.UsersArmed(
                worker=self._number,
                armed=self._barrier.armed,
                failures=failures,
                clock_offset_s=clock.offset_s,
                clock_uncertainty_s=clock.uncertainty_s,
            )
        )

    def _await_armed(self, silence_s: float) -> None:
        """Until everybody is armed or has failed to, or nobody more has for so long."""
        before, changed_s = self._barrier.still_arming, monotonic()
        while not self._barrier.complete.wait(silence_s * _ARM_LOOK) and monotonic() - changed_s < silence_s:
            if self._barrier.still_arming != before:
                before, changed_s = self._barrier.still_arming, monotonic()

    def _measure_clock(self) -> ClockEstimate:
        with self._measuring:
            return estimate([self._round_trip() for _ in range(_CLOCK_SAMPLES)])

    def _round_trip(self) -> RoundTrip:
        self._pong = AsyncResult()
        self._say(messages.Ping(worker=self._number, sent_s=monotonic()))
        pong, received_s = self._pong.get(timeout=_CLOCK_TIMEOUT_S)
        return RoundTrip(pong.sent_s, pong.master_s, received_s)

    def _release(self, asked: messages.ReleaseAt) -> None:
        clock = self._measure_clock()  # again: now nobody arms, and nothing has drifted since
        t0_s = clock.to_own(asked.t0_master_s)
        self._say(
            messages.TookT0(
                worker=self._number,
                t0_master_s=asked.t0_master_s,
                lead_s=t0_s - monotonic(),
                clock_offset_s=clock.offset_s,
                clock_uncertainty_s=clock.uncertainty_s,
            )
        )
        self._recorder.released_at(t0_s)
        self._barrier.release_at(ReleaseInstant(t0_s, asked.t0_wall_s))

    def _end(self) -> None:
        users = {greenlet: greenlet.args[0] for greenlet in self._runner.user_greenlets if greenlet.args}
        cut = Counter(
            (user.kind, user.step) for user in users.values() if isinstance(user, RehearsalUser) and user.is_unfinished
        )
        journeys = [one for one, user in users.items() if not user.follows_to_the_end]
        stop([*journeys, *self._probes], _STOP_SILENCE_S)
        self._look_afresh()
        stop(self._runner.user_greenlets, _STOP_SILENCE_S)
        self._recorder.cut_operations()
        self._flush()
        first_sends_s, followers = self._worker_context.first_sends_s()
        self._say(
            messages.Ended(
                worker=self._number,
                requests_sent=self._recorder.requests_sent,
                first_sends_s=first_sends_s,
                followers=followers,
                cut=tuple(CutSummary(kind, step, count) for (kind, step), count in cut.items()),
                batches=dict(self._batches),
                crashes=self._worker_context.crashes.summary(),
                notes=(self._unspooled,) if self._unspooled else (),
            )
        )

    def _look_afresh(self) -> None:
        """Followers know the seats from one snapshot and all changes since. New ones now get a snapshot of their own,
        so that the record shows whether the two agree."""
        if Capability.FEED in self._platform.capabilities:
            observers = [gevent.spawn(self._observe, -number) for number in range(1, _OBSERVERS + 1)]
            gevent.joinall(observers, timeout=_STOP_SILENCE_S)  # a full platform may take minutes to answer
            stop(observers, _STOP_SILENCE_S)

    def _observe(self, user: int) -> None:
        name = f"observer-{self._number}{user}"
        session = self._platform.spectator_session(Person(user=user, kind="spectator", actor=name, identity=name))
        if session.connect(Call.now()).outcome is Outcome.OK:
            following = gevent.spawn(session.follow)
            following.join(timeout=_OBSERVE_S)
            following.kill()
        session.close()

    def _read_baseline(self, asked: messages.ReadBaseline) -> None:
        tables: tuple[str, ...] = ()
        problem = ""
        try:
            tables = read_baseline(self._platform, self._recorder, asked.timeout_s, self._spec.addresses.own)
        except Unreadable as reason:
            problem = str(reason)
        self._say(messages.BaselineDone(worker=self._number, tables=tables, problem=problem))

    def _settle(self, asked: messages.SettleNow) -> None:
        reads, tables = settle(self._platform, self._recorder, asked, self._spec.seed)
        self._recorder.cut_operations()
        self._flush()
        self._say(
            messages.SettleDone(
                worker=self._number,
                at_rest=reads.at_rest,
                tables=tables,
                seat_map=reads.seat_map,
                requests_sent=self._recorder.requests_sent,
                batches=dict(self._batches),
                notes=tuple(redacted(note, self._secrets) for note in reads.notes),
                foreign_owners=redacted(reads.foreign_owners, self._secrets),
            )
        )

    def _look_up(self, asked: messages.LookUp) -> None:
        """A platform that shows any order to the operator has had its look-ups from the worker that settles."""
        platform = self._platform
        notes = platform.look_up_orders(asked.acked) if isinstance(platform, LooksUpAsFans) else ()
        self._recorder.cut_operations()
        self._flush()
        self._say(
            messages.LookedUp(
                worker=self._number,
                requests_sent=self._recorder.requests_sent,
                batches=dict(self._batches),
                notes=tuple(redacted(note, self._secrets) for note in notes),
            )
        )

    def _flush_forever(self) -> NoReturn:
        while True:
            gevent.sleep(_FLUSH_S)
            self._flush()
            steps = {step: count for step, count in self._worker_context.users_by_step.items() if count}
            self._say(
                messages.Beat(
                    worker=self._number,
                    users_by_step=steps,
                    requests_sent=self._recorder.requests_sent,
                    operations_begun=self._recorder.operations_begun,
                )
            )

    def _flush(self) -> None:
        """To the own disk first, then to the master. Not before T0: until then no instant can be written."""
        t0 = self._barrier.t0
        if t0 is None or monotonic() < t0.monotonic_s + _QUIET_S:
            return
        with self._flushing:
            # A turn of the loop may take seconds in a crowd: then more goes at once.
            rows_max = max(_BATCH_ROWS, self._recorder.rows_waiting // _FLUSH_TURNS)
            while batches := self._recorder.take(t0, rows_max):
                for table, batch in batches.items():
                    self._send_on(table, batch)
                gevent.sleep(0)

    def _send_on(self, table: str, batch: pa.RecordBatch) -> None:
        if not self._unspooled:
            self._keep(table, batch)
        data = batch.serialize().to_pybytes()
        self._say(messages.Batch(worker=self._number, table=table, number=self._batches[table], data=data))
        self._batches[table] += 1

    def _keep(self, table: str, batch: pa.RecordBatch) -> None:
        """A copy on the own disk; without room for it the master's has to do."""
        try:
            self._spool(table).append(batch)
        except EnvironmentProblem as problem:
            self._unspooled = f"worker {self._number} keeps no copies any more: {problem.message}"

    def _spool(self, table: str) -> StreamWriter:
        if table not in self._spools:
            self._spools[table] = StreamWriter(self._paths.spool(table, self._number), TABLES[table])
        return self._spools[table]


def _sources(start: WorkerStart) -> tuple[str, ...]:
    """Where the load of this machine comes from. Its users are at most all of them."""
    load, addresses = start.spec.scenario.load, start.spec.addresses
    first, last = port_range()
    return addresses_of(load.source_addresses, (addresses.booking, *addresses.feeds), load.users, last - first + 1)


def _end_with_parent() -> None:
    """Stdin is a pipe that only the parent holds: its end, which no death can prevent, is the end of this process.

    A thread of the system's own waits for it, so that no busy loop can be in the way.
    """

    def wait() -> None:
        while os.read(0, 1):
            continue
        os.write(2, b"the master is gone\n")
        os._exit(1)

    get_original("_thread", "start_new_thread")(wait, ())


def _give_up(greenlet: gevent.Greenlet) -> None:
    """A worker that has lost one of its own jobs is no worker: die, and be noticed."""
    try:
        traceback.print_exception(greenlet.exception)
    finally:  # the log may be on a disk that is full
        os._exit(1)


def main() -> int:
    """Parse the command line and work."""
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    start = take_start(sys.stdin.fileno())
    if start is None:
        print("the master is gone", file=sys.stderr)
        return 1
    _end_with_parent()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m harness.swarm.control.worker")
    parser.add_argument("--master", required=True, help="HOST:PORT of the master")
    parser.add_argument("--number", required=True, type=int, help="this worker's number, from 1")
    arguments = parser.parse_args()
    host, _, port = arguments.master.rpartition(":")
    prepare_arrow()
    try:
        Worker(start, arguments.number, host, int(port)).run()
    except GatecrashError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main())
