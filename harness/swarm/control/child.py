"""The swarm as its parent sees it: a child process that is told what to do and says what happens.

Nothing here imports locust or gevent; see `protocol` for the conversation.
"""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Final, Self, TypeVar

import msgspec

from harness.errors import ExitCode, GatecrashError, NoVerdict
from harness.input_file import NOT_JSON
from harness.processes.managed import below, child_environment, end_all, ending, last_line
from harness.processes.signals import uninterrupted
from harness.record.paths import RunPaths
from harness.swarm.messaging.protocol import (
    Armed,
    Baseline,
    Command,
    Event,
    FailureMessage,
    Quit,
    Release,
    Settled,
    Stop,
    SwarmSpec,
    Waiting,
    decode_event,
    encode_line,
    encode_spec,
)

E = TypeVar("E", bound=msgspec.Struct)
_ENDS_WITHIN_S: Final = 10.0
_NOT_YET: Final[dict[type[msgspec.Struct], str]] = {
    Waiting: "did not wait for its workers",
    Baseline: "did not read what was sold before",
    Armed: "did not get its users ready",
    Release: "released nobody",
    Settled: "did not read the state at rest",
}


class SwarmFailed(GatecrashError):
    """The swarm said that it cannot go on; it chose the exit code."""

    def __init__(self, failed: FailureMessage) -> None:
        super().__init__(failed.message, hint=failed.hint)
        self.exit_code = ExitCode(failed.exit_code)


class SwarmChild:
    """Starts the swarm on entering; on leaving, however that happens, it is stopped and waited for."""

    def __init__(self, spec: SwarmSpec, paths: RunPaths) -> None:
        self._spec = spec
        self._log = paths.logs / "swarm.log"
        self._events: queue.Queue[Event | None] = queue.Queue()

    def __enter__(self) -> Self:
        try:
            with uninterrupted():
                self._start()
        except KeyboardInterrupt:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.swarm"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_environment({}),
                start_new_session=True,
            )
        self._reader = threading.Thread(target=self._read, name="swarm-events", daemon=True)
        self._reader.start()
        self._write(encode_spec(self._spec))

    def __exit__(self, *exc: object) -> None:
        self.tell(Stop())
        self.tell(Quit())
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            workers = below(self._process.pid)
            self._process.kill()
            self._process.wait()
            end_all(workers)
        self._reader.join(1.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what could not be said to a swarm that died is still in the buffer
                    pipe.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, command: Command) -> None:
        """Send one command; a swarm that is already gone does not mind."""
        self._write(encode_line(command))

    def _write(self, line: bytes) -> None:
        if self._process.stdin is None or self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return

    def next(self, within_s: float) -> Event | None:
        """The next event, or None when none came within `within_s`.

        Raises SwarmFailed when the swarm gave up and NoVerdict when it died.
        """
        try:
            event = self._events.get(timeout=max(within_s, 0.0))
        except queue.Empty:
            return None
        if event is None:
            how, said = ending(self._process.wait()), last_line(self._log)
            message = f"the load generator's master process died: it {how}" + (
                f"; last log line: {said}" if said else ""
            )
            raise NoVerdict(message, hint=f"see {self._log}")
        if isinstance(event, FailureMessage):
            raise SwarmFailed(event)
        return event

    def expect(self, kind: type[E], within_s: float) -> E:
        """The next event of this kind; others before it are dropped. Raises NoVerdict when it does not come in time."""
        deadline = time.monotonic() + within_s
        while (left_s := deadline - time.monotonic()) > 0:
            event = self.next(left_s)
            if isinstance(event, kind):
                return event
        raise NoVerdict(f"the load generator {_NOT_YET[kind]} within {within_s:.0f} s", hint=f"see {self._log}")

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 — opened as a pipe above
        for line in self._process.stdout:
            try:
                self._events.put(decode_event(line))
            except NOT_JSON as error:
                self._events.put(FailureMessage(message=f"the load generator said something that is no event: {error}"))
        self._events.put(None)
