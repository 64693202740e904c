"""The same fans and spectators for people who live in Locust: `locust -f scenarios/locustfile.py --host http://…`.

There is no barrier, no record and no audit here: users go as soon as Locust spawns them. Everything else is as in a
rehearsal. `gatecrash rehearse` is what releases them all at once.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from time import monotonic, time
from typing import Final, NoReturn

import gevent
from locust import events
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # Locust only knows the folder that it was started in

from harness.platform import Addresses, PreparedRequest
from harness.scenario import Load, Scenario
from harness.swarm.recording.clock import ReleaseInstant
from harness.swarm.recording.recorder import Recorder
from harness.swarm.recording.request_hook import EachFired
from harness.swarm.users.barrier import Barrier
from harness.swarm.users.user import WorkerContext
from scenarios.fan import FanUser
from scenarios.reference.platform import ReferencePlatform
from scenarios.spectator import SpectatorUser

__all__ = ["FanUser", "SpectatorUser"]

_USERS_PER_WORKER: Final = 1_000_000
_FORGET_S: Final = 1.0

FanUser.weight = 10


class OpenDoor(Barrier):
    """Lets everybody in as they come."""

    def __init__(self, first_user: int) -> None:
        super().__init__()
        self._users = first_user

    def user_of(self, kind: str) -> int:  # noqa: ARG002 - kinds share one count
        """The next user."""
        self._users += 1
        return self._users

    def arm(self, prepared: PreparedRequest | None) -> None:
        """Nothing is fired: the user sends the first request."""

    def wait(self) -> ReleaseInstant:
        """Now."""
        return ReleaseInstant(monotonic(), time())


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--on-sale-event", default="playoff-g1", help="which event is on sale")
    parser.add_argument("--feed", default="", help="ws://host:port of the seat feed; without it no spectators")
    parser.add_argument("--seed", type=int, default=1, help="every choice of every user is drawn from it")


def _prepare(environment: Environment, **_: object) -> None:
    options = environment.parsed_options
    if not (options and options.feed):
        environment.user_classes = [one for one in environment.user_classes if one is not SpectatorUser]
    if isinstance(environment.runner, MasterRunner):
        return
    recorder = Recorder(0, EachFired(environment.events.request.fire))
    addresses = Addresses(
        booking=environment.host or "http://127.0.0.1:8000",
        feeds=(options.feed,) if options and options.feed else (),
        event=options.on_sale_event if options else "",
    )
    worker = environment.runner.worker_index if isinstance(environment.runner, WorkerRunner) else 0
    worker_context = WorkerContext(
        scenario=Scenario(name="locustfile", description="as Locust spawns them", duration_s=1.0, load=Load()),
        seed=options.seed if options else 1,
        platform=ReferencePlatform(addresses, recorder),
        recorder=recorder,
        barrier=OpenDoor(worker * _USERS_PER_WORKER),
    )
    FanUser.worker_context = SpectatorUser.worker_context = worker_context
    gevent.spawn(_forget, recorder)


def _forget(recorder: Recorder) -> NoReturn:
    """Locust keeps the statistics; rows would only pile up."""
    while True:
        gevent.sleep(_FORGET_S)
        for buffer in recorder.buffers.values():
            buffer.rows.clear()


events.init_command_line_parser.add_listener(_add_options)  # type: ignore[no-untyped-call]
events.init.add_listener(_prepare)  # type: ignore[no-untyped-call]
