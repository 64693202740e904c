"""Locust's master for an on-sale, and the worker processes under it."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NoReturn

import gevent
import msgspec
import psutil
from locust import User
from locust.env import Environment
from locust.rpc.zmqrpc import Server
from locust.runners import MasterRunner

from harness.record.seal_key import stripped_environment
from harness.swarm.messaging.channel import LOOPBACK, MasterSocket, Remote
from harness.swarm.messaging.envelope import MasterEnd
from harness.swarm.messaging.protocol import Reach, SwarmSpec, WorkerStart, hand_start
from harness.swarm.users.loader import TREE

_QUIT_S: Final = 3.0
_LOOK_S: Final = 1.0

_log = logging.getLogger(__name__)


class OnSaleMaster(MasterRunner):
    """A master that dispatches its users once.

    Locust hands the users of a lost worker to the others after about a minute, and starts them again when a worker
    joins late. Those users would arrive at an on-sale that is long under way, with somebody else's identities.

    It hears nobody but the workers of this run, see `channel`.
    """

    def __init__(self, environment: Environment, remote: Remote | None = None) -> None:
        self.channel = MasterEnd()
        self._remote = remote
        self._port = 0
        super().__init__(environment, LOOPBACK, 0)  # Locust's own socket, on any port, is closed again at once
        self._dispatched = False

    @property
    def server(self) -> MasterSocket:
        """The socket at which workers reach it."""
        return self._server

    @server.setter
    def server(self, plain: Server) -> None:
        plain.close(linger=0)  # type: ignore[no-untyped-call]
        self._server = MasterSocket(self.channel, self._port, self._remote)
        self._port = self._server.port  # where workers look for it again when Locust opens it anew
        if self._remote is not None:
            self._remote = msgspec.structs.replace(self._remote, port=self._server.remote_port)

    @property
    def port(self) -> int:
        """Where workers of this machine reach it."""
        return int(self.server.port)

    @property
    def remote_port(self) -> int:
        """Where workers of other machines reach it; 0 when they cannot."""
        return self.server.remote_port

    def heartbeat_worker(self) -> NoReturn:
        """Lose no worker. Locust takes one whose loop is busy for four seconds for lost and, when it is the last, stops
        the test. Whether a worker is lost, `Workforce` sees from its process or from its machine's own heartbeat."""
        while True:
            gevent.sleep(_LOOK_S)
            if self.connection_broken:
                self.reset_connection()

    def start(
        self, user_count: int, spawn_rate: float, wait: bool = False, user_classes: list[type[User]] | None = None
    ) -> None:
        """Dispatch the users, the first time it is asked to."""
        if self._dispatched:
            _log.warning("users are dispatched once: those of a lost worker stay lost")
            return
        self._dispatched = True
        super().start(user_count, spawn_rate, wait, user_classes)


class WorkerProcesses:
    """The worker processes on this machine. `keys`: of each worker's channel, by its number."""

    def __init__(self, spec: SwarmSpec, port: int, keys: Mapping[int, bytes]) -> None:
        command = [sys.executable, "-m", "harness.swarm.control.worker", "--master", f"{LOOPBACK}:{port}"]
        plain = msgspec.structs.replace(spec, reach=Reach())  # the run's key is no business of theirs
        self._processes = {
            number: subprocess.Popen(
                [*command, "--number", str(number)],
                stdin=subprocess.PIPE,  # its end is ours
                stdout=sys.stderr,
                env={**stripped_environment(), "PYTHONPATH": _python_path()},
            )
            for number in keys
        }
        self._seen: dict[int, psutil.Process] = {}
        for number_here, (number, process) in enumerate(self._processes.items()):
            with suppress(psutil.Error):  # it may be gone already
                self._seen[number] = psutil.Process(process.pid)
            key = keys[number].hex()
            hand_start(process, WorkerStart(spec=plain, key=key, number_here=number_here, workers_here=len(keys)))

    def cpu_s(self, numbers: set[int]) -> float:
        """Processor time that those of them that live have used."""
        used_s = 0.0
        for number in numbers & self._processes.keys() & self._seen.keys():
            with suppress(psutil.Error):
                used_s += sum(self._seen[number].cpu_times()[:2])
        return used_s

    def deaths(self) -> dict[int, int]:
        """Worker → exit code, of those that have ended since the last call."""
        ended = {number: code for number, one in self._processes.items() if (code := one.poll()) is not None}
        for number in ended:
            _close(self._processes.pop(number))
        return ended

    def end(self) -> None:
        """Wait for them to go, then make them."""
        for process in self._processes.values():
            try:
                process.wait(_QUIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join([str(TREE), inherited]) if inherited else str(TREE)
