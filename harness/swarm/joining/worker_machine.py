"""A worker's way into a swarm that another machine runs: ask to join, check that both run the same, work, be watched.

Nothing here imports locust or gevent: the worker itself is a child process.
"""

from __future__ import annotations

import ipaddress
import select
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
from harness.processes.managed import child_environment
from harness.record.paths import RunPaths
from harness.stack import Addresses
from harness.swarm.joining.handshake import (
    DEFAULT_PORT,
    HEARTBEAT,
    HEARTBEAT_S,
    LINE_BYTES_MAX,
    LOST_AFTER_S,
    Farewell,
    JoinRequest,
    Refused,
    Welcome,
    decode_answer,
    encode,
    files_of,
    own_versions,
)
from harness.swarm.messaging.protocol import hand_key, write_spec
from harness.swarm.recording.progress_file import read_progress

_CONNECT_S: Final = 3.0
_ANSWER_S: Final = 10.0
_KNOCK_AGAIN_S: Final = 0.5
_FOLLOWS_WITHIN_S: Final = 15.0  # the master has ended: its workers should have, too


class Master(msgspec.Struct, frozen=True):
    """Where a master's join server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Master:
        """HOST or HOST:PORT. Raises InputError."""
        parts = urlsplit(f"//{text}")
        try:
            if parts.hostname:
                return cls(parts.hostname, parts.port or DEFAULT_PORT)
        except ValueError as error:
            raise InputError(f"{text!r}: {error}", key="--master", hint="HOST or HOST:PORT") from error
        raise InputError(f"{text!r} names no host", key="--master", hint="HOST or HOST:PORT")


def join(master: Master, workers: int, scenario: str, wait_s: float, say: Callable[[str], None]) -> int:
    """Join with so many workers, work until the master has had enough, return the worst of their exit codes.

    `scenario`: the digest that the master's must have, "" for any. `wait_s`: how long to try where nobody answers.
    Raises InputError when refused, EnvironmentProblem when nobody opens, NoVerdict when the master is lost.
    """
    members: list[Member] = []
    try:
        for _ in range(workers):
            try:
                members.append(Member(master, scenario, wait_s))
            except InputError as error:
                if not members:
                    raise
                say(f"{len(members)} of {workers} workers joined: {error}")
                break
            say(f"worker {members[-1].number} joined {master.host}:{master.port} ({members[-1].scenario_name})")
        while any([member.is_working() for member in members]):  # noqa: C419 - each must send its heartbeat
            time.sleep(HEARTBEAT_S)
        return max(member.exit_code for member in members)
    finally:
        for member in members:
            member.end(say)


class Member:
    """One worker process and the connection over which the master watches it."""

    def __init__(self, master: Master, scenario: str, wait_s: float) -> None:
        self._connection = _reach(master, wait_s)
        try:
            welcome = _request_to_join(self._connection, scenario)
            _require_same_files(welcome)
            _require_reachable(welcome.spec.addresses, master.host)
        except BaseException:
            self._connection.close()
            raise
        self.number = welcome.number
        self.scenario_name = welcome.spec.scenario.name
        self._folder = Path(tempfile.mkdtemp(prefix=f"gatecrash-worker-{welcome.number}-"))
        self._process = self._start(welcome, f"{master.host}:{welcome.port}")
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
        try:
            self._connection.sendall(HEARTBEAT if code is None else encode(self._farewell(code)))
            self._require_answer()
        except OSError:
            self._follow_master()
            code = self._process.poll()
        self._told = code is not None
        return not self._told

    def _farewell(self, code: int) -> Farewell:
        return Farewell(exit_code=code, begun=read_progress(RunPaths(root=self._folder).progress(self.number)))

    def _require_answer(self) -> None:
        """Raises OSError when the master has ended the connection, NoVerdict when it has been silent for too long."""
        if select.select([self._connection], [], [], 0)[0]:
            if not self._connection.recv(LINE_BYTES_MAX):
                raise ConnectionResetError
            self._heard_s = time.monotonic()
        if time.monotonic() - self._heard_s > LOST_AFTER_S:
            raise NoVerdict(
                f"nothing was heard from the master for {LOST_AFTER_S:g} s, so worker {self.number} was stopped",
                hint="check the network between the two; the master goes on without this worker",
            )

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
            (self._folder / "swarm.json").unlink(missing_ok=True)
            say(f"worker {self.number} ended with {code}; what it recorded is in {self._folder}")

    def _start(self, welcome: Welcome, locust_address: str) -> subprocess.Popen[bytes]:
        spec_file = self._folder / "swarm.json"
        write_spec(msgspec.structs.replace(welcome.spec, run_dir=str(self._folder)), spec_file)
        command = [sys.executable, "-m", "harness.swarm.control.worker", "--master", locust_address]
        process = subprocess.Popen(
            [*command, "--number", str(self.number), str(spec_file)],
            stdin=subprocess.PIPE,  # its end is ours
            stdout=sys.stderr,
            env=child_environment({}),
        )
        hand_key(process, bytes.fromhex(welcome.key))
        return process

    def _follow_master(self) -> None:
        try:
            self._process.wait(_FOLLOWS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise NoVerdict("the master is gone", hint="its log says why") from None


def _reach(master: Master, wait_s: float) -> socket.socket:
    """A connection to the join server; tries again while nobody listens."""
    deadline_s = time.monotonic() + wait_s
    while True:
        try:
            return socket.create_connection((master.host, master.port), timeout=_CONNECT_S)
        except socket.gaierror as error:
            raise InputError(f"there is no host {master.host}: {error.strerror}", key="--master") from error
        except OSError as error:
            if time.monotonic() + _KNOCK_AGAIN_S > deadline_s:
                raise EnvironmentProblem(
                    f"no master answers at {master.host}:{master.port}: {error.strerror or error}",
                    hint="start `gatecrash rehearse … --remote-workers N --listen HOST` there first",
                ) from error
        time.sleep(_KNOCK_AGAIN_S)


def _request_to_join(connection: socket.socket, scenario: str) -> Welcome:
    connection.settimeout(_ANSWER_S)
    try:
        connection.sendall(encode(JoinRequest(host=socket.gethostname(), versions=own_versions(), scenario=scenario)))
        with connection.makefile("rb") as lines:
            answer = decode_answer(lines.readline(LINE_BYTES_MAX))
    except (OSError, msgspec.DecodeError) as error:
        raise EnvironmentProblem(f"this is no master of gatecrash: {error}", hint="see --master") from error
    if isinstance(answer, Refused):
        raise InputError(f"the master refuses: {answer.message}", hint=answer.hint)
    return answer


def _require_same_files(welcome: Welcome) -> None:
    own = files_of(welcome.spec)
    for file, digest in welcome.files.items():
        if own.get(file) != digest:
            raise InputError("is not the same as at the master", file=file, hint="copy the master's here")


def _require_reachable(addresses: Addresses, master_host: str) -> None:
    """What listens on the master's loopback cannot be loaded from another machine."""
    if is_loopback(master_host):
        return
    for url in (addresses.booking, *addresses.feeds):
        if is_loopback(urlsplit(url).hostname or ""):
            raise InputError(
                f"the platform is at {url}, which only the master's machine reaches",
                hint="rehearse a platform that listens on the network",
            )


def is_loopback(host: str) -> bool:
    """Whether that host is this machine and no other can mean it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
