"""A worker's way into a swarm that another machine runs: prove the key, ask to join, lend what was named, work.

Nothing here imports locust or gevent: the worker itself is a child process.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from harness.errors import EnvironmentProblem, InputError, NoVerdict
from harness.hosts import is_loopback
from harness.processes.managed import child_environment
from harness.processes.source_addresses import require_here
from harness.record.paths import RunPaths
from harness.stack import Addresses
from harness.swarm.joining.handshake import (
    HEARTBEAT,
    HEARTBEAT_S,
    LOST_AFTER_S,
    Farewell,
    JoinRequest,
    Refused,
    Welcome,
    decode_answer,
    encode,
    own_versions,
)
from harness.swarm.joining.keyed_connection import KeyedConnection, Master, await_host, reach
from harness.swarm.joining.lent import Lent
from harness.swarm.messaging.protocol import WorkerStart, hand_start
from harness.swarm.messaging.run_key import RunKey
from harness.swarm.recording.progress_file import read_progress

_ANSWER_S: Final = 10.0
_FOLLOWS_WITHIN_S: Final = 15.0  # the master has ended: its workers should have, too


class Call(msgspec.Struct, frozen=True):
    """Whom to join, and how.

    `scenario`: the digest that the master's must have, "" for any. `wait_s`: how long to try where nobody answers.
    """

    master: Master
    key: RunKey
    lent: Lent
    scenario: str = ""
    wait_s: float = 60.0


def join(call: Call, workers: int, say: Callable[[str], None]) -> int:
    """Join with so many workers, work until the master has had enough, return the worst of their exit codes.

    Raises InputError when refused or asked for what is not lent, EnvironmentProblem when nobody opens, NoVerdict when
    the master is lost.
    """
    await_host(call.master.host, call.wait_s, say)
    members: list[Member] = []
    try:
        for number_here in range(workers):
            try:
                members.append(Member(call, number_here, workers))
            except InputError as error:
                if not members:
                    raise
                say(f"{len(members)} of {workers} workers joined: {error}")
                break
            say(f"worker {members[-1].number} joined {call.master} ({members[-1].scenario_name})")
        while any([member.is_working() for member in members]):  # noqa: C419 - each must send its heartbeat
            time.sleep(HEARTBEAT_S)
        return max(member.exit_code for member in members)
    finally:
        for member in members:
            member.end(say)


class Member:
    """One worker process and the connection over which the master watches it."""

    def __init__(self, call: Call, number_here: int, workers_here: int) -> None:
        self._connection = reach(call.master, call.key, call.wait_s)
        try:
            welcome = _request_to_join(self._connection, call)
            spec = call.lent.only(welcome.spec, welcome.files)
            _require_reachable(spec.addresses, call.master.host)
            require_here(spec.scenario.load.source_addresses, every=False)
        except BaseException:
            self._connection.close()
            raise
        self.number = welcome.number
        self.scenario_name = spec.scenario.name
        self._folder = Path(tempfile.mkdtemp(prefix=f"gatecrash-worker-{welcome.number}-"))
        start = WorkerStart(
            spec=msgspec.structs.replace(spec, run_dir=str(self._folder)),
            key=welcome.key,
            run_key=call.key.text,
            number_here=number_here,
            workers_here=workers_here,
        )
        self._process = self._start(start, Master(call.master.host, welcome.port))
        self._heard_s = time.monotonic()
        self._told = False

    @property
    def exit_code(self) -> int:
        """Of the worker process, once it has ended; 3 when a signal ended it."""
        code = self._process.wait()
        return code if code >= 0 else int(NoVerdict.exit_code)

    def is_working(self) -> bool:
        """Whether it goes on; the master hears of it. Raises NoVerdict when the master is lost."""
        code = self._process.poll()
        if self._told:
            return False
        self._connection.send(HEARTBEAT if code is None else encode(self._farewell(code)))
        if self._is_master_gone():
            self._follow_master()
            code = self._process.poll()
        self._told = code is not None
        return not self._told

    def _farewell(self, code: int) -> Farewell:
        return Farewell(exit_code=code, begun=read_progress(RunPaths(root=self._folder).progress(self.number)))

    def _is_master_gone(self) -> bool:
        """Whether it has ended the connection. Raises NoVerdict when it has been silent for too long."""
        while self._connection.receive(0) is not None:
            self._heard_s = time.monotonic()
        if self._connection.has_ended:
            return True
        if time.monotonic() - self._heard_s > LOST_AFTER_S:
            raise NoVerdict(
                f"nothing was heard from the master for {LOST_AFTER_S:g} s, so worker {self.number} was stopped",
                hint="check the network between the two; the master goes on without this worker",
            )
        return False

    def end(self, say: Callable[[str], None]) -> None:
        """Whatever happens, no worker stays behind. What a broken one recorded is kept."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(HEARTBEAT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        code = self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._connection.close()
        if code == 0:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            say(f"worker {self.number} ended with {code}; what it recorded is in {self._folder}")

    def _start(self, start: WorkerStart, locust: Master) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "harness.swarm.control.worker", "--master", str(locust)]
        process = subprocess.Popen(
            [*command, "--number", str(self.number)],
            stdin=subprocess.PIPE,  # its end is ours
            stdout=sys.stderr,
            env=child_environment({}),
        )
        hand_start(process, start)
        return process

    def _follow_master(self) -> None:
        try:
            self._process.wait(_FOLLOWS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise NoVerdict("the master is gone", hint="its log says why") from None


def _request_to_join(connection: KeyedConnection, call: Call) -> Welcome:
    request = JoinRequest(host=socket.gethostname(), versions=own_versions(), scenario=call.scenario)
    connection.send(encode(request))
    line = connection.receive(_ANSWER_S)
    if line is None:
        raise EnvironmentProblem(f"the master at {call.master} does not answer", hint="see its log")
    try:
        answer = decode_answer(line)
    except msgspec.DecodeError as error:
        raise EnvironmentProblem(
            f"the master at {call.master} says something else than this version expects: {error}",
            hint="install the same version of gatecrash on both machines",
        ) from error
    if isinstance(answer, Refused):
        raise InputError(f"the master refuses: {answer.message}", hint=answer.hint)
    return answer


def _require_reachable(addresses: Addresses, master_host: str) -> None:
    """Raises InputError when the platform listens on loopback and the master is on another machine."""
    if is_loopback(master_host):
        return
    for url in (addresses.booking, *addresses.feeds):
        if is_loopback(urlsplit(url).hostname or ""):
            raise InputError(
                f"the platform is at {url}, which only the master's machine reaches",
                hint="rehearse a platform that listens on the network",
            )
